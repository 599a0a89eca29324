"""A real web server that receives messages and answers as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """What a server got, and where it is.

    Args:
        answers: status codes of the first requests, then 204; 0 hangs until the test is over.
    """

    def __init__(self, answers: Sequence[int] = ()) -> None:
        self.answers, self.over = list(answers), threading.Event()
        self.messages: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        self.requests.append((path, headers))
        status = self.answers.pop(0) if self.answers else 204
        if status == 0:
            self.over.wait()
        elif status < 300:
            self.messages.append(json.loads(body))
        return status


@contextmanager
def listening(*answers: int) -> Iterator[Webhook]:
    """Serve on this machine while the block runs."""
    hook = Webhook(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if status := hook.take(self.path, dict(self.headers), body):
                self.send_response(status)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield hook
        finally:
            hook.over.set()
            server.shutdown()
