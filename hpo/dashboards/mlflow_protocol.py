"""Guard in front of MLflow's server: an HTTP protocol for uvicorn's option --http.

MLflow checks the Origin header only under /api/ and /ajax-api/, so any web page could send traces
to /v1/traces.
"""

from __future__ import annotations

import os
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hpo.dashboards.host_guard import KnownHosts
from hpo.dashboards.servers import HOSTS_VARIABLE


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a guard in front of the application, and without WebSockets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hosts = KnownHosts(os.environ[HOSTS_VARIABLE].split(","))
        self.app = _Guarded(self.app, hosts)


class _Guarded:
    """An ASGI application that refuses foreign hosts and other sites."""

    def __init__(self, app: ASGIApp, hosts: KnownHosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hosts, origins = (
            [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]
            for wanted in (b"host", b"origin")
        )
        reason = self._hosts.refusal(hosts, origins)
        if reason is None:
            # MLflow checks both again, and takes capital letters for another name.
            known = [
                (name, value.lower() if name in (b"host", b"origin") else value)
                for name, value in scope["headers"]
            ]
            await self._app({**scope, "headers": known}, receive, send)
            return
        headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": reason.encode()})
