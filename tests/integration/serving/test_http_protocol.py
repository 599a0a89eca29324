"""Requests that never end and heads that are too large, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from starlette.types import Receive, Scope, Send

from hpo.serve import listen
from hpo.serving import app as serving
from hpo.serving.http_protocol import LimitedProtocol
from hpo.serving.middleware import send_json
from tests.support.mlflow_server import eventually

GET = b"GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE_REPLY = b"1" * 20_000_000  # more than the system's buffers take
HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"


class Quick(LimitedProtocol):
    request_seconds = 0.5
    reply_seconds = 0.5


class Asked:
    """An application that answers with the body, and notes what becomes of its requests."""

    def __init__(self) -> None:
        self.answered: list[bytes] = []
        self.left = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/unread":
            await send_json(send, 403, b"{}")
            return
        if scope["path"].startswith("/large"):
            await send_json(send, 200, LARGE_REPLY, close=scope["path"] == "/large/last")
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["path"] == "/slow":
            await asyncio.sleep(1.2)
        self.answered.append(body)
        await send_json(send, 200, body or b"{}")


@contextmanager
def serving_app(app: Asked, protocol: type[LimitedProtocol] = Quick) -> Iterator[int]:
    with listen("127.0.0.1", 0) as listener:
        server = serving.make_server(app, protocol)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def app() -> Asked:
    return Asked()


@pytest.fixture
def port(app: Asked) -> Iterator[int]:
    with serving_app(app) as found:
        yield found


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def answer(connection: socket.socket) -> bytes:
    """One answer with a Content-Length."""
    found = b""
    while b"\r\n\r\n" not in found:
        piece = connection.recv(1)
        assert piece, found
        found += piece
    (length,) = [
        int(line.split(b":")[1]) for line in found.split(b"\r\n") if b"content-length" in line
    ]
    while not found.partition(b"\r\n\r\n")[2][length - 1 :]:
        found += connection.recv(length)
    return found


def statuses(reply: bytes) -> list[int]:
    return [int(part[:3]) for part in reply.split(b"HTTP/1.1 ")[1:]]


def test_the_server_has_these_limits_by_itself() -> None:
    assert serving.make_server(Asked()).config.http is LimitedProtocol
    assert LimitedProtocol.request_seconds == 10
    assert LimitedProtocol.max_head_bytes == 65_536


def test_half_a_body_is_refused_in_time_on_every_connection(app: Asked, port: int) -> None:
    with ExitStack() as stack:
        start = time.monotonic()
        many = [stack.enter_context(connect(port)) for _ in range(200)]
        for connection in many:
            connection.sendall(HEAD + b"12345")
        replies = [rest(connection) for connection in many]
        seconds = time.monotonic() - start
        assert {tuple(statuses(reply)) for reply in replies} == {(408,)}
        reason = json.loads(replies[0].partition(b"\r\n\r\n")[2])["detail"]
        assert reason == "the request was not complete within 0.5 s"
        assert b"connection: close\r\n" in replies[0]
        assert seconds < 15
        eventually(lambda: app.left == 200, 10)
        assert app.answered == []


@pytest.mark.parametrize("begun", [b"G", b"GET /now HTTP/1.1\r\nHost: loc", HEAD])
def test_half_a_request_is_refused_wherever_it_stops(port: int, begun: bytes) -> None:
    with connect(port) as connection:
        connection.sendall(begun)
        assert statuses(rest(connection)) == [408]


def test_a_body_that_drips_is_refused(port: int) -> None:
    """Each byte is in time, the whole is not."""
    with connect(port) as connection:
        connection.sendall(HEAD)
        stop = threading.Event()

        def drip() -> None:
            try:
                for _ in range(9):
                    connection.sendall(b"1")
                    stop.wait(0.1)
            except OSError:  # the server has closed the connection, as it should
                stop.set()

        thread = threading.Thread(target=drip)
        thread.start()
        assert statuses(rest(connection)) == [408]
        thread.join()


def test_the_second_request_of_a_connection_has_the_same_deadline(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(GET)
        assert statuses(answer(connection)) == [200]
        time.sleep(0.7)  # the timer of the first one has run out
        connection.sendall(HEAD + b"123")
        assert statuses(rest(connection)) == [408]


def test_a_refused_body_cannot_hold_the_connection(port: int) -> None:
    """The application answered without reading the body; there is nothing to answer twice."""
    with connect(port) as connection:
        connection.sendall(HEAD.replace(b"/echo", b"/unread") + b"123")
        start = time.monotonic()
        assert statuses(rest(connection)) == [403]
        assert time.monotonic() - start < 4  # uvicorn's keep-alive would wait 5 s


def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    with connect(port) as connection:
        assert rest(connection) == b""


def test_a_connection_may_rest_between_requests(port: int) -> None:
    with connect(port) as connection:
        for _ in range(3):
            connection.sendall(GET)
            assert statuses(answer(connection)) == [200]
            time.sleep(1.2)


def test_a_slow_but_complete_request_is_answered(app: Asked, port: int) -> None:
    with connect(port) as connection:
        for piece in (HEAD[:20], HEAD[20:], b"12345", b"67890"):
            connection.sendall(piece)
            time.sleep(0.08)
        assert statuses(answer(connection)) == [200]
    assert app.answered == [b"1234567890"]


def test_a_slow_answer_is_no_late_request(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(GET.replace(b"/now", b"/slow"))
        assert statuses(answer(connection)) == [200]


def test_pipelined_requests_are_answered_in_turn(app: Asked, port: int) -> None:
    """The second waits behind a slow first for longer than a request may take to come."""
    with connect(port) as connection:
        connection.sendall(GET.replace(b"/now", b"/slow") + HEAD + b"12345")
        time.sleep(1.0)
        connection.sendall(b"67890" + GET.replace(b"Host", b"Connection: close\r\nHost"))
        assert statuses(rest(connection)) == [200, 200, 200]
    assert app.answered == [b"", b"1234567890", b""]


def test_the_answers_before_a_refusal_are_whole(app: Asked, port: int) -> None:
    with connect(port) as connection:
        slow = GET.replace(b"/now", b"/slow")
        connection.sendall(slow + b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000)
        assert statuses(rest(connection)) == [200]
    assert app.answered == [b""]


LARGE = b"x" * 300_000


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /now HTTP/1.1\r\nHost: localhost\r\nX: " + LARGE + b"\r\n\r\n",
        b"GET /now HTTP/1.1\r\nHost: localhost\r\nX: " + LARGE,  # and no end
        b"GET /now?" + LARGE + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /now HTTP/1.1\r\n" + b"A: 123456789\r\n" * 7_000 + b"\r\n",
        b"GET /now HTTP/1.1\r\nX: " + LARGE[:66_000] + b"\r\n\r\n",
        HEAD.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked")
        + b"1\r\na\r\n0\r\nX: " + LARGE * 3,
    ],
    ids=["one", "unended", "url", "many", "just-too-large", "trailer"],
)  # fmt: skip
def test_a_large_head_is_refused(app: Asked, port: int, request_bytes: bytes) -> None:
    with connect(port) as connection:
        connection.sendall(request_bytes)
        reply = rest(connection)
        assert statuses(reply) == [431]
        assert b"larger than 65536 bytes" in reply
    assert app.answered == []


def test_a_head_below_the_limit_and_a_large_body_are_answered(app: Asked, port: int) -> None:
    body = b"1" * 1_000_000
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nX: %s\r\nContent-Length: %d\r\n\r\n"
    with connect(port) as connection:
        for _ in range(2):
            connection.sendall(head % (LARGE[:60_000], len(body)) + body)
            assert statuses(answer(connection)) == [200]
    assert app.answered == [body, body]


def test_what_is_no_http_is_refused(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert statuses(rest(connection)) == [400]


UPGRADE = b"Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n"
UPGRADES = {
    "h2c": HEAD.replace(b"Host: localhost\r\n", UPGRADE + b"Upgrade: h2c\r\n") + b"1234567890",
    "chunked": HEAD.replace(b"Host: localhost\r\n", UPGRADE + b"upgrade: h2c\r\n").replace(
        b"Content-Length: 10", b"Transfer-Encoding: chunked"
    ) + b"5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n",
    "websocket": HEAD.replace(b"Host", b"Connection: upgrade\r\nUpgrade: WebSocket\r\nHost")
    + b"1234567890",
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 50, 10_000])
@pytest.mark.parametrize("request_bytes", UPGRADES.values(), ids=UPGRADES)
def test_a_request_that_asks_for_an_upgrade_is_answered(
    app: Asked, port: int, request_bytes: bytes, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As Java's HttpClient and curl --http2 ask; in one piece or in many, and with others after."""
    logging.getLogger("uvicorn.error").addHandler(caplog.handler)
    try:
        with connect(port) as connection:
            last = GET.replace(b"Host", b"Connection: close\r\nHost")
            sent = request_bytes * 2 + HEAD + b"abcdefghij" + request_bytes + last
            for start in range(0, len(sent), size):
                connection.sendall(sent[start : start + size])
            assert statuses(rest(connection)) == [200] * 5
    finally:
        logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert app.answered == [b"1234567890", b"1234567890", b"abcdefghij", b"1234567890", b""]
    assert not caplog.records


@pytest.mark.parametrize(
    "head",
    [
        b"GET /a HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n",
        b"GET /a HTTP/1.0\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_the_last_request_of_a_connection_may_ask_for_an_upgrade(port: int, head: bytes) -> None:
    with connect(port) as connection:
        connection.sendall(head)
        assert statuses(rest(connection)) == [200]


def test_a_large_body_may_come_with_the_wish_to_upgrade(app: Asked, port: int) -> None:
    body = b"1" * 1_000_000
    head = b"POST /echo HTTP/1.1\r\n%sUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"
    with connect(port) as connection:
        connection.sendall(head % (UPGRADE, len(body)) + body)
        assert statuses(answer(connection)) == [200]
    assert app.answered == [body]


def test_the_limits_hold_for_requests_that_ask_for_an_upgrade(app: Asked, port: int) -> None:
    half = UPGRADES["h2c"][:-5]
    large = GET.replace(b"Host", b"Connection: upgrade\r\nUpgrade: h2c\r\nX: %s\r\nHost" % LARGE)
    for sent, status in ((half, 408), (large, 431)):
        with connect(port) as connection:
            connection.sendall(sent)
            assert statuses(rest(connection)) == [status]
    assert app.answered == []


@pytest.mark.parametrize(
    "line", [b"CONNECT localhost:80", b"CONNECT /now", b"GET http://[::1", b"GET http://"]
)
@pytest.mark.parametrize("before", [0, 1])
def test_a_target_that_is_none_is_refused(
    app: Asked, port: int, line: bytes, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As the first request of a connection, or as a later one."""
    with connect(port) as connection:
        for _ in range(before):
            connection.sendall(GET)
            assert statuses(answer(connection)) == [200]
        connection.sendall(line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reply = rest(connection)
    assert statuses(reply) == [400]
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["detail"]
    assert app.answered == [b""] * before
    assert "asyncio" not in {record.name for record in caplog.records}  # the protocol did not fail


@pytest.mark.parametrize("path", [b"/large", b"/large/last"])
def test_a_reply_that_nobody_reads_does_not_stay(app: Asked, path: bytes) -> None:
    """Neither on a connection that stays open nor on one that ends with this reply."""
    lost = threading.Event()

    class Told(Quick):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    with serving_app(app, Told) as port, connect(port) as connection:
        connection.sendall(GET.replace(b"/now", path))
        assert lost.wait(20)


def test_a_slow_reader_gets_the_whole_reply(app: Asked) -> None:
    class Told(Quick):
        reply_seconds = 0.2

    with serving_app(app, Told) as port, connect(port) as connection:
        connection.sendall(GET.replace(b"/now", b"/large/last"))
        found = 0
        while piece := connection.recv(1_000_000):
            found += len(piece)
            time.sleep(0.05)
    assert found > len(LARGE_REPLY)
