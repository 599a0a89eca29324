"""Repetition of storage calls while the storage does not answer, as during a server's restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from hpo.errors import StorageUnreachable, StudyStopped
from hpo.study import OUTAGE_SECONDS, StudyLock

SHORTEST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds between two attempts; doubled after each

T = TypeVar("T")


class StorageRetries:
    """Repeats calls of the storage until it is back in reach.

    The engine's listener in `hpo.study.storage` raises StorageUnreachable for a lost server. A
    repeated call is made only while the study's lock is known to be held.

    Args:
        hold: the study's lock.
        say: called with a line when an outage begins, and when it ends.
        gives_up: returns True if the wait must end now.
        outage_seconds: length of an outage after which the call fails, in seconds.
    """

    def __init__(
        self,
        hold: StudyLock,
        say: Callable[[str], None],
        gives_up: Callable[[], bool] = lambda: False,
        outage_seconds: float = OUTAGE_SECONDS,
    ) -> None:
        self._hold, self._say, self._gives_up = hold, say, gives_up
        self._outage_seconds = outage_seconds

    def call(self, work: Callable[[], T], before_again: Callable[[], None] = lambda: None) -> T:
        """Return the result of `work`, which is called again after an outage.

        Args:
            work: reads or writes the storage; a repeated call completes a broken one.
            before_again: called before each repeated call.

        Raises:
            StorageUnreachable: the outage took too long, or the wait was given up.
            StudyStopped: another launcher has the study's lock, or had it during the outage.
        """
        try:
            return work()
        except StorageUnreachable as error:
            if self._gives_up():
                raise
            began, wait, last = time.monotonic(), SHORTEST_WAIT, error
        self._say(
            f"the study's storage is out of reach ({last.reason}); waiting up to "
            f"{self._outage_seconds / 60:g} minutes while trainings go on"
        )
        while not self._gives_up() and time.monotonic() - began < self._outage_seconds:
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            try:
                self._check_lock()
                before_again()
                result = work()
            except StorageUnreachable as error:
                last = error
                continue
            self._say(f"the storage is back after {time.monotonic() - began:.0f} s; going on")
            return result
        raise last

    def _check_lock(self) -> None:
        """Raise StudyStopped if another launcher has the study's lock, or had it."""
        if problem := self._hold.problem():
            raise no_longer_ours(problem)


def no_longer_ours(problem: str) -> StudyStopped:
    """Return the error for a launcher that has lost its study.

    Args:
        problem: the reason, see `StudyLock.problem`.
    """
    return StudyStopped(
        f"stopped: the study is no longer this launcher's ({problem}); "
        "run the same command again to go on"
    )


class SerializedCalls:
    """Base of objects whose storage calls run one after the other and wait through outages.

    Attributes:
        outages: repeats calls during an outage; None: an outage is an error at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.outages: StorageRetries | None = None

    def call(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, called under the lock, and again after an outage."""
        with self._lock:
            return self.outages.call(work, self._after_outage) if self.outages else work()

    def _after_outage(self) -> None:
        """Repair what a broken call has left."""


P = ParamSpec("P")
Turn = TypeVar("Turn", bound=SerializedCalls)


def in_turn(method: Callable[Concatenate[Turn, P], T]) -> Callable[Concatenate[Turn, P], T]:
    """Make a method wait for its turn, and through outages of the storage."""

    @wraps(method)
    def waiting(self: Turn, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.call(lambda: method(self, *args, **kwargs))

    return waiting
