"""A TCP proxy before a server, to cut its connections or to stall them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy

CHUNK = 1 << 16


class TcpProxy:
    """Forwards bytes between clients and a server, until it is told not to.

    Attributes:
        port: port of the proxy on this machine.
    """

    def __init__(self, upstream: Callable[[], socket.socket]) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock, self._flows = threading.Lock(), threading.Event()
        self._flows.set()
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close all connections, and new ones at once."""
        with self._lock:
            self._is_cut = True
            for end in self._open:
                _close(end)
            self._open.clear()

    def stall(self) -> None:
        """Forward nothing, but keep all connections."""
        self._flows.clear()

    def mend(self) -> None:
        """Forward as if nothing had been."""
        self._is_cut = False
        self._flows.set()

    def close(self) -> None:
        """End the proxy."""
        self.cut()
        self._flows.set()
        _close(self._listener)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                self._connect(self._listener.accept()[0])

    def _connect(self, client: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                _close(client)
                return
            server = self._upstream()
            self._open |= {client, server}
        for ends in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # one of the ends was closed
            while data := source.recv(CHUNK):
                self._flows.wait()
                target.sendall(data)
        _close(source)
        _close(target)


def _close(end: socket.socket) -> None:
    with suppress(OSError):  # it is not connected any more
        end.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for it
    end.close()


def before_postgresql(url: str) -> tuple[TcpProxy, str]:
    """A proxy before a PostgreSQL server of this machine, and the database's URL through it."""
    parsed = sqlalchemy.make_url(url)
    folder = parsed.query.get("host")

    def connect() -> socket.socket:
        if folder:
            end = socket.socket(socket.AF_UNIX)
            end.connect(f"{folder}/.s.PGSQL.{parsed.port or 5432}")
            return end
        return socket.create_connection((parsed.host or "127.0.0.1", parsed.port or 5432))

    proxy = TcpProxy(connect)
    through = parsed.set(host="127.0.0.1", port=proxy.port, query={})
    return proxy, through.render_as_string(hide_password=False)


def before_port(port: int) -> TcpProxy:
    """A proxy before a server of this machine."""
    return TcpProxy(lambda: socket.create_connection(("127.0.0.1", port)))
