"""The guard before optuna-dashboard, which has no login, checks no Host and can delete studies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  (as --host, not as our default)
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
READING = ("GET", "HEAD")


class Guard:
    """A WSGI application that lets only harmless requests through to `app`.

    A foreign Host means DNS rebinding: a web page that had its own name point here. A foreign
    Origin means that another page sent the request.

    Args:
        hosts: names under which the dashboard is known; the port does not matter.
        allow_writes: whether requests may change anything.
    """

    def __init__(self, app: App, hosts: Sequence[str], *, allow_writes: bool) -> None:
        self._app, self._hosts, self._allow_writes = app, frozenset(hosts), allow_writes

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        if not self._is_ours(environ.get("HTTP_HOST", "")):
            return _refuse(start_response, "403 Forbidden", "this host name is not allowed here")
        if origin is not None and not self._is_ours(_site(origin)):
            return _refuse(start_response, "403 Forbidden", "another site may not send this")
        if environ["REQUEST_METHOD"] not in READING and not self._allow_writes:
            message = "read-only; start python -m hpo.dashboard with --allow-writes to change this"
            return _refuse(start_response, "405 Method Not Allowed", message)
        return self._app(environ, start_response)

    def _is_ours(self, address: str) -> bool:
        name, colon, port = address.rpartition(":")
        return (name if colon and port.isdecimal() else address).lower() in self._hosts


def _site(origin: str) -> str:
    """Host and port of an Origin; "" of one that is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _refuse(start_response: Callable[..., Any], status: str, message: str) -> Iterable[bytes]:
    headers = [("Content-Type", "text/plain"), ("Allow", ", ".join(READING))]
    start_response(status, headers)
    return [message.encode()]
