"""Middleware: check of the Host name, counting, and a short way to the busy routes."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hpo.dashboards import KnownHosts
from hpo.serving.metrics import ServingMetrics

LOG = logging.getLogger("hpo.serve")
BROKEN = json.dumps({"detail": "internal error; the log of hpo.serve has the details"}).encode()


class HostGuard:
    """A guard that passes only requests under the server's own host names; the port is ignored.

    (Starlette's TrustedHostMiddleware refuses in plain text, not in JSON.)

    Args:
        app: the guarded application.
        hosts: host names in lower case; IPv6 addresses in brackets.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, KnownHosts(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 403."""
        if scope["type"] == "http":
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if reason := self._hosts.refusal(
                hosts, []
            ):  # Origin does not matter: requests change nothing
                reason += "; start hpo.serve with --allowed-host NAME"
                await send_json(send, 403, json.dumps({"detail": reason}).encode())
                return
        await self._app(scope, receive, send)


class Counted:
    """A counter of requests and their seconds by path and status; all unknown paths count as one.

    An error of the application is logged, counted and answered with 500 in JSON.

    Args:
        app: the counted application.
        metrics: the counters.
        paths: the known paths.
    """

    def __init__(self, app: ASGIApp, metrics: ServingMetrics, paths: Collection[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count its response.

        Raises:
            Exception: the application failed in the middle of its response.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        path = scope["path"] if scope["path"] in self._paths else "other"
        has_begun = False

        async def count(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                self._metrics.observe(path, message["status"], time.perf_counter() - start)
            await send(message)

        try:
            await self._app(scope, receive, count)
        except Exception:
            if has_begun:  # it is counted; uvicorn logs the error and closes the connection
                raise
            LOG.exception("%s %s failed", scope["method"], path)
            await send_json(count, 500, BROKEN, close=True)


class Shortcut:
    """A short way for POST requests to some routes; all other requests go to the application.

    FastAPI's middleware and its search for the route take 60 us of CPU time, a quarter of a request
    to the model of ml-100k.

    Args:
        app: the application.
        routes: applications of the routes by path, without path parameters.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[str, ASGIApp]) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to its route, or to the application."""
        route = None
        if scope["type"] == "http" and scope["method"] == "POST":
            route = self._routes.get(scope["path"])
        await (route or self._app)(scope, receive, send)


async def send_json(send: Send, status: int, body: bytes, *, close: bool = False) -> None:
    """Send a whole response.

    Args:
        send: send function of the request.
        status: status of the response.
        body: the JSON.
        close: end the connection after the response.
    """
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
