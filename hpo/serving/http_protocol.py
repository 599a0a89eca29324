"""Limits of one HTTP connection: time for a request to arrive, size of its head, time to read.

uvicorn limits none of them: a client that stops in the middle of a request keeps its connection for
ever, headers may fill the memory before the application sees the request, and so may replies that
nobody reads.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import ClassVar

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

REQUEST_SECONDS = 10.0  # from the first byte to the last: 100 KB/s for the largest body
MAX_HEAD_BYTES = 1 << 16
REPLY_SECONDS = 10.0  # in which a client reads as much of its reply as this, or all of it:
REPLY_BYTES = 100_000
LINGER_SECONDS = 2.0  # time in which further data is dropped, so that clients see the refusal


class _HeadTooLarge(Exception):
    """The error of a parser callback that stops the parser at a large head."""


class _NoTunnel(Exception):
    """The error of a parser callback that stops the parser at CONNECT."""


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a deadline for each request and a limit for its head.

    A request that is not complete within `request_seconds` gets 408, a larger head gets 431, and
    the connection is closed. Between requests, uvicorn's own keep-alive timeout applies. A client
    that reads its reply too slowly loses the connection. Each connection has one timer for requests
    and one for replies, which an ordinary request neither sets nor cancels. WebSockets and other
    upgrades are not supported: such a request is answered as if it had not asked for one.

    Attributes:
        request_seconds: seconds for a request to arrive, and for a new connection to be silent.
        reply_seconds: seconds in which REPLY_BYTES of a reply must be read.
        max_head_bytes: bytes of URL and headers together; trailers have a limit of their own.
    """

    request_seconds: ClassVar[float] = REQUEST_SECONDS
    reply_seconds: ClassVar[float] = REPLY_SECONDS
    max_head_bytes: ClassVar[int] = MAX_HEAD_BYTES

    _timer: asyncio.TimerHandle | None = None
    _reply_timer: asyncio.TimerHandle | None = None
    _since: float | None = None  # time of the incoming request's first byte; None: no request
    _in_head = True  # the head of the incoming or the next request is not complete
    _head_too_large = False
    _is_upgrade = False  # the head asks for another protocol, and will be read once more
    _untold_bytes = 0  # size of whole pieces of heads or trailers, which the parser keeps
    _told = False  # a request, its head or some of its body began or ended in this piece
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of a new connection."""
        super().connection_made(transport)
        self._set_timer(self.request_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadlines."""
        self._cancel_timer()
        self._cancel_reply_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse one piece of data; refuse the request if its head or trailers grow too large."""
        if self._refused:
            return
        if self._since is None:
            self._since = self.loop.time()
            if self._timer is None:
                self._set_timer(self.request_seconds)
        self._told = False
        self._unset_keepalive_if_required()
        try:
            self._parse(memoryview(data))
        except HttpParserError:
            reason = "Invalid HTTP request received."
            self.logger.warning(reason)
            self.send_400_response(reason)
        if not self._told:
            self._untold_bytes += len(data)
            if self._untold_bytes > self.max_head_bytes and not self._refused:
                self._refuse_head()

    def on_response_complete(self) -> None:
        """Go on to the next request, and start the time in which the client reads this reply."""
        super().on_response_complete()
        self._cancel_reply_timer()
        self._await_reader()

    def shutdown(self) -> None:
        """Close a refused connection at once, any other one as uvicorn does."""
        if self._refused:
            self.transport.close()
        super().shutdown()

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Start the time of a request whose first byte came with the end of the request before."""
        if self._since is None:  # came in one piece with the end of the request before
            self._since = self.loop.time()
        self._told, self._in_head, self._is_upgrade = True, True, False
        self._untold_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Check the size of URL and headers, and pass over the wish to upgrade.

        Raises:
            _HeadTooLarge: they are larger than `max_head_bytes`.
            _NoTunnel: the method is CONNECT.
        """
        self._told = True
        # Counted once at the end: a call for each header would cost more.
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.max_head_bytes:
            self._head_too_large = True
            raise _HeadTooLarge
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _NoTunnel
            self._is_upgrade = True
            return
        super().on_headers_complete()
        self._in_head = False  # not before: the line above raises an error for a bad target

    def on_body(self, body: bytes) -> None:
        """Note that the parser has passed on some of the body."""
        self._told = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request: no deadline runs until the next one begins."""
        if self._is_upgrade:  # the end of the head only
            return
        self._told, self._in_head = True, True
        self._since = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse the request at which the parser stopped."""
        if self._head_too_large:
            self._refuse_head()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _parse(self, data: memoryview) -> None:
        """Parse as uvicorn does, but answer requests that ask for an upgrade.

        A server may ignore that wish (RFC 9110, 7.8). Java's HttpClient and `curl --http2` send it
        with each first request. The parser takes what follows such a head for another protocol.
        So it reads the head again, without the wish, and then the rest as usual.

        Raises:
            HttpParserError: this is no valid request.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                (parsed,) = upgrade.args
                data, head = data[parsed:], self._plain_head()
                # The parser of a head that also ends the connection would read nothing more.
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn
                self.parser.feed_data(head)
            else:
                return

    def _plain_head(self) -> bytes:
        """Return the head that was just parsed, without the header that asks for an upgrade."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        lines = [method + b" " + self.url + b" HTTP/" + version.encode()]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _await_reader(self) -> None:
        """Start the time for a part of the reply, unless the system has taken all of it."""
        if unread := self.transport.get_write_buffer_size():
            self._reply_timer = self.loop.call_later(
                self.reply_seconds, self._look_at_reader, unread
            )

    def _cancel_reply_timer(self) -> None:
        if self._reply_timer is not None:
            self._reply_timer.cancel()
        self._reply_timer = None

    def _look_at_reader(self, unread: int) -> None:
        """End the connection if the client has read too little; else wait for the next part.

        Args:
            unread: bytes of the reply that were left when the time began.
        """
        self._reply_timer = None
        left = self.transport.get_write_buffer_size()
        if left and left > unread - REPLY_BYTES:
            self.transport.abort()
        else:
            self._await_reader()

    def _set_timer(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._look)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _look(self) -> None:
        """Refuse a late request, or set the timer to the deadline of the current one."""
        self._timer = None
        if self._since is None:
            if self.cycle is None:  # no request has ever arrived
                self.transport.close()
            return
        left = self._since + self.request_seconds - self.loop.time()
        if left <= 0 and (self._is_behind() or self.flow.read_paused):
            self._since, left = self.loop.time(), self.request_seconds  # the delay is the server's
        if left > 0:
            self._set_timer(left)
        else:
            reason = f"the request was not complete within {self.request_seconds:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, reason)

    def _is_behind(self) -> bool:
        """Return True if an earlier request of this connection is not answered yet."""
        if self._in_head:
            return self.cycle is not None and not self.cycle.response_complete
        return bool(self.pipeline)

    def _refuse_head(self) -> None:
        reason = f"URL and headers are larger than {self.max_head_bytes} bytes"
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, reason)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Refuse the incoming request after the answers to earlier ones, and end the connection."""
        self._refused = True
        self._cancel_timer()
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._in_head and self._is_behind():
            self.cycle.keep_alive = False  # the earlier request gets the last answer
            return
        if not self._in_head:
            if self.pipeline or self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True  # nobody waits for the application's answer
            self.cycle.message_event.set()
        body = json.dumps({"detail": reason}).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + body)
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)
