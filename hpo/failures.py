"""When trials fail in a way that more of them would not mend."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter

from hpo.errors import StudyStopped
from hpo.records import Outcome

SAME_ERROR_LIMIT = 2  # the same exception twice is a bug, not bad luck
FAILURES_IN_A_ROW = 10
INCIDENT_SECONDS = 90.0  # a broken pipe is seen at once, a silent worker after a minute


class Incident:
    """Deaths of workers that may have one cause: a machine that stops takes all its workers.

    It takes each of them once. A slot whose new worker dies too shows another cause, such as a bug
    that kills every worker.
    """

    def __init__(self) -> None:
        self._began = -math.inf
        self._slots: set[object] = set()

    def takes(self, slot: object) -> bool:
        """Return True if the death of this slot's worker belongs to the incident before.

        Otherwise the death begins a new incident.
        """
        now = time.monotonic()
        belongs = slot not in self._slots and now - self._began <= INCIDENT_SECONDS
        if not belongs:
            self._began, self._slots = now, set()
        self._slots.add(slot)
        return belongs


class Failures:
    """Count the failures of one run of a study; stop it at the limits. **Thread-safe.**"""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()
        self._in_a_row = 0
        self._incident = Incident()

    def forget_row(self) -> None:
        """Begin a new row: a trial has succeeded."""
        with self._lock:
            self._in_a_row = 0

    def add(self, number: int, outcome: Outcome, died: object | None = None) -> None:
        """Count the failure of a trial.

        Args:
            number: of the trial.
            outcome: why it failed.
            died: the slot whose worker was lost, so that the trial is tried again; deaths of one
                incident count once. None: the failure counts by itself.

        Raises:
            StudyStopped: as too many before it.
        """
        with self._lock:
            if died is None or not self._incident.takes(died):
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
