"""One write for the calls of many threads, as databases commit a group of transactions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Results = Sequence[Result | Exception]


class GroupCommit(Generic[Item, Result]):
    """A write that threads share. **Thread-safe.**

    The first thread of a group writes the items of all threads that come before its turn. `put`
    returns once its item is written, so sharing makes nothing less durable.

    Args:
        write: writes the items of a group, in the order of the calls. Returns a result for each
            item, or the exception for that item's caller; an exception that it raises goes to all.
            Called again with the same items, it completes a broken call.
        turn: calls a function when it is this write's turn, and maybe again.
        window: returns the seconds for which the first thread waits for others.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Results[Result]],
        turn: Callable[[Callable[[], Results[Result]]], Results[Result]],
        window: Callable[[], float],
    ) -> None:
        self._write, self._turn, self._window = write, turn, window
        self._lock = threading.Lock()
        self._waiting: list[tuple[Item, Future[Result]]] = []

    def put(self, item: Item) -> Result:
        """Write one item, together with those of other threads; return its result.

        Args:
            item: the item.

        Raises:
            Exception: what the write raised, or returned for this item.
        """
        future: Future[Result] = Future()
        with self._lock:
            self._waiting.append((item, future))
            is_first = len(self._waiting) == 1
        if is_first:
            if seconds := self._window():
                time.sleep(seconds)
            self._write_group()
        return future.result()

    def _write_group(self) -> None:
        """Write the waiting items, and tell each caller its result."""
        group: list[tuple[Item, Future[Result]]] = []

        def write() -> Results[Result]:
            if not group:
                group.extend(self._taken())
            return self._write([item for item, _ in group])

        try:
            results = self._turn(write)
        except BaseException as error:  # each caller raises it
            for _, future in group or self._taken():
                future.set_exception(error)
            return
        for (_, future), result in zip(group, results, strict=True):
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _taken(self) -> list[tuple[Item, Future[Result]]]:
        """Take the waiting items; the next one begins a new group."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken
