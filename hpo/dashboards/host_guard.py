"""Checks of Host and Origin headers, and the guard in front of optuna-dashboard.

optuna-dashboard has no login, checks no Host and can delete studies.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from hpo.dashboards.read_only import PAGE, read_only_page

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  (as --host, not as our default)
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
READING = ("GET", "HEAD")
FOREIGN_HOST = "this host name is not allowed here"


class KnownHosts:
    """The names under which a server answers; ports do not matter.

    A foreign Host header means DNS rebinding: a web page whose own name points to this machine
    could read the answers. A foreign Origin header means that another page sent the request.

    Args:
        names: names in lower case; IPv6 addresses in brackets.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)

    def refusal(self, hosts: Sequence[str], origins: Sequence[str]) -> str | None:
        """Return why a request is refused, or None.

        Args:
            hosts: values of the Host headers. A request with two of them, or none, is refused: a
                proxy could read one name and this server another.
            origins: values of the Origin headers.
        """
        if len(hosts) != 1 or not self._include(hosts[0]):
            return FOREIGN_HOST
        if not all(self._include(_site(origin)) for origin in origins):
            return "another site may not send this"
        return None

    def _include(self, address: str) -> bool:
        name, colon, port = address.rpartition(":")
        return (name if colon and port.isdecimal() else address).lower() in self._names


class Guard:
    """A WSGI application that passes only harmless requests on to another.

    Args:
        app: the application behind the guard.
        hosts: names under which the dashboard answers; ports do not matter.
        allow_writes: True lets requests change studies.
    """

    def __init__(self, app: App, hosts: Sequence[str], *, allow_writes: bool) -> None:
        self._app, self._hosts, self._allow_writes = app, KnownHosts(hosts), allow_writes

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        origins = [environ["HTTP_ORIGIN"]] if "HTTP_ORIGIN" in environ else []
        if reason := self._hosts.refusal([environ.get("HTTP_HOST", "")], origins):
            return _refuse(start_response, "403 Forbidden", reason)
        if environ["REQUEST_METHOD"] not in READING and not self._allow_writes:
            message = "read-only; start python -m hpo.dashboard with --allow-writes to change this"
            return _refuse(start_response, "405 Method Not Allowed", message)
        if environ.get("PATH_INFO", "").startswith(PAGE) and not self._allow_writes:
            return read_only_page(self._app, environ, start_response)
        return self._app(environ, start_response)


def _site(origin: str) -> str:
    """Return the host and port of an Origin header; "" if the header is malformed."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _refuse(start_response: Callable[..., Any], status: str, message: str) -> Iterable[bytes]:
    headers = [("Content-Type", "text/plain"), ("Allow", ", ".join(READING))]
    start_response(status, headers)
    return [message.encode()]
