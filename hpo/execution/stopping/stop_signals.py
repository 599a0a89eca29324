"""Parking of a study on Ctrl-C and SIGTERM, for commands."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

PARK_SECONDS = 5.0  # for parking after SIGTERM; containers are killed after ten


class Parkable(Protocol):
    """An object that can park its running trials."""

    def park(self, reason: str, seconds: float = ...) -> None:
        """Park the running trials, see `hpo.execution.scheduler.Scheduler.park`.

        Args:
            reason: reason to stop.
            seconds: time until the trials are stopped at once.
        """


@contextmanager
def stop_signals(study: Parkable) -> Iterator[None]:
    """Park `study` on SIGINT and SIGTERM while the block runs; only in the main thread.

    For commands only: in a notebook or another program the handlers are not ours to replace, and a
    KeyboardInterrupt parks the study, see `hpo.execution.scheduler.Scheduler.run`.
    """
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
