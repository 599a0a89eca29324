"""Ctrl-C and SIGTERM end the study, not the program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

PARK_SECONDS = 5.0  # after SIGTERM; containers are killed after ten


class Parkable(Protocol):
    """What can be asked to end in order."""

    def park(self, reason: str, seconds: float = ...) -> None: ...


@contextmanager
def stop_signals(study: Parkable) -> Iterator[None]:
    """Both signals park `study` while the block runs; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        study.park("interrupted")

    def terminate(*_: Any) -> None:
        study.park("terminated", PARK_SECONDS)

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, terminate),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
