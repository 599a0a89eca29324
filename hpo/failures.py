"""When trials fail in a way that more of them would not mend."""

from __future__ import annotations

import threading
from collections import Counter

from hpo.errors import StudyStopped
from hpo.records import Outcome

SAME_ERROR_LIMIT = 2  # the same exception twice is a bug, not bad luck
FAILURES_IN_A_ROW = 10


class Failures:
    """Of one run of a study. **Thread-safe.**"""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()
        self._in_a_row = 0

    def forget_row(self) -> None:
        """A trial has succeeded."""
        with self._lock:
            self._in_a_row = 0

    def add(self, number: int, outcome: Outcome) -> None:
        """Trial `number` has failed.

        Raises:
            StudyStopped: as too many before it.
        """
        with self._lock:
            self._in_a_row += 1
            in_a_row = self._in_a_row
            if outcome.cause == "error":
                self._errors[outcome.message] += 1
            n_same = self._errors[outcome.message]
        if n_same >= SAME_ERROR_LIMIT:
            raise StudyStopped(
                f"stopped: the same error twice, last in trial {number}: "
                f"{outcome.message}\n{outcome.traceback}".rstrip()
            )
        if in_a_row >= FAILURES_IN_A_ROW:
            raise StudyStopped(
                f"stopped: {in_a_row} trials failed in a row, last trial {number} "
                f"({outcome.cause}): {outcome.message}"
            )
