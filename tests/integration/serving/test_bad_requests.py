"""Requests that are wrong, foreign, torn or too large are refused with the reason."""

from __future__ import annotations

import json
import random
import socket
from typing import Any

import pytest

from hpo.serving.schemas import MAX_BODY_BYTES
from tests.support.registered import Client, Registered, running

WORDS = ("user_id", "history", "times", "exclude", "k", "requests", "other")


def random_value(rng: random.Random, depth: int) -> Any:
    simple = [
        None, True, 0, -1, 10, 1000, 1001, 10**30, 1e308, 2.5, "", "u1", "i3", "\0", "é" * 9,
        "\ud800", float("nan"), float("inf"), "x" * 1025,
    ]  # fmt: skip
    kind = rng.random()
    if depth and kind < 0.3:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if depth and kind < 0.5:
        return {
            rng.choice((*WORDS, "é", "\ud800")): random_value(rng, depth - 1)
            for _ in range(rng.randrange(4))
        }
    return rng.choice(simple)


def random_body(rng: random.Random) -> str | bytes:
    kind = rng.random()
    if kind < 0.1:
        return rng.randbytes(rng.randrange(40))
    if kind < 0.5:
        plausible = rng.choice(({"user_id": "u1"}, {"history": ["i1", "i2"], "times": [1, 2]}))
        chosen: dict[str, Any] = {"k": 3, "exclude": ["i5"], **plausible}
        if rng.random() < 0.7:
            chosen[rng.choice(WORDS)] = random_value(rng, 2)
        text = json.dumps(chosen)
    else:
        text = json.dumps(random_value(rng, 3), ensure_ascii=rng.random() < 0.5)
    if kind > 0.9:
        cut = rng.randrange(len(text) + 1)
        text = text[:cut] + rng.choice(("", "}", "[" * 2000, "\0")) + text[cut:]
    return text


def test_a_thousand_random_bodies(registered: Registered) -> None:
    rng = random.Random(6)
    statuses: dict[int, int] = {}
    with running(registered.live()) as port:
        client = Client(port)
        for _ in range(1000):
            body, path = random_body(rng), "/recommend"
            if rng.random() < 0.3:
                path = "/recommend/batch"
                body = b'{"requests": [%s]}' % (
                    body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
                )
            status, found = client.post(path, body)
            assert status in (200, 400), (status, body)
            if status == 400:
                assert found.keys() == {"detail"}
                assert isinstance(found["detail"], str)
                assert found["detail"]
                assert "Traceback" not in found["detail"]
            statuses[status] = statuses.get(status, 0) + 1
    assert statuses[200] > 100
    assert statuses[400] > 500


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "body: give either user_id or history"),
        ({"user_id": ""}, "user_id: String should have at least 1 character"),
        ({"user_id": True}, "user_id: must be a string or an integer"),
        ({"user_id": 196.0}, "user_id: must be a string or an integer"),
        ({"history": [3, False, 4.5]}, "history.1: must be a string of 1 to 1024 characters or"),
        ({"user_id": "u1", "k": 0}, "k: Input should be greater than or equal to 1"),
        ({"user_id": "u1", "k": 1001}, "k: Input should be less than or equal to 1000"),
        ({"user_id": "u1", "k": True}, "k: Input should be a valid integer"),
        ({"user_id": "u1", "filter": {}}, "filter: Extra inputs are not permitted"),
        ({"history": ["i1"] * 10_001}, "history: List should have at most 10000 items"),
        ({"history": ["i1"], "times": []}, "times: 0 for 1 item; give one for each item"),
        ("{", "Invalid JSON"),
    ],
)
def test_bad_questions_are_told_why(registered: Registered, body: Any, reason: str) -> None:
    with running(registered.live()) as port:
        status, found = Client(port).post("/recommend", body)
    assert status == 400
    assert reason in found["detail"]


def test_other_paths_and_methods(registered: Registered) -> None:
    with running(registered.live()) as port:
        client = Client(port)
        assert client.get("/nothing") == (404, {"detail": "Not Found"})
        assert client.get("/recommend") == (405, {"detail": "Method Not Allowed"})
        assert client.post("/recommend/", {}) == (404, {"detail": "Not Found"})
        assert client.get("/health") == (200, {"status": "ok"})
        status, openapi = client.get("/openapi.json")
        assert status == 200
        assert set(openapi["paths"]) == {
            "/recommend", "/recommend/batch", "/health", "/ready", "/metrics"
        }  # fmt: skip
        text = client.get("/metrics")[1]
    assert 'recommend_requests_total{path="other",status="404"} 2' in text
    assert 'recommend_requests_total{path="/recommend",status="405"} 1' in text
    assert 'recommend_request_seconds_bucket{path="/recommend",le="+Inf"} 1' in text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]:8000"])
def test_foreign_hosts_are_refused(registered: Registered, host: str) -> None:
    with running(registered.live()) as port:
        status, found = Client(port).post("/recommend", {"user_id": "u1"}, {"Host": host})
    assert status == 403
    assert "--allowed-host" in found["detail"]


@pytest.mark.parametrize("hosts", [("localhost", "evil.example"), ("localhost", "localhost"), ()])
def test_a_request_has_one_host_header(registered: Registered, hosts: tuple[str, ...]) -> None:
    """Two of them, or none, may mean one name to a proxy and another here."""
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    with running(registered.live()) as port:
        reply = raw(port, f"GET /ready HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
    assert reply.startswith(b"HTTP/1.1 403 ")


def raw(port: int, request: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8000", "LOCALHOST:80"])
def test_our_hosts_are_answered(registered: Registered, host: str) -> None:
    with running(registered.live()) as port:
        assert Client(port).get("/ready", {"Host": host})[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(registered: Registered, chunked: bool) -> None:
    with running(registered.live()) as port:
        body = b'{"user_id": "u1"' + b" " * MAX_BODY_BYTES + b"}"
        client = Client(port)
        sent: Any = iter([body[:1000], body[1000:]]) if chunked else body
        status, found = client.ask("POST", "/recommend", sent, None)
        assert status == 413
        assert "larger than 1048576 bytes" in found["detail"]
        assert client.post("/recommend", body[: 1 << 19] + b"}")[0] == 200
