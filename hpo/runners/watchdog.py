"""How long to wait for a worker that lives: long for honest work, not for ever.

A worker that gives no sign at all is dead, see `WorkerProcess.receive`. One that does may still
hang, since a thread of its own gives the signs. Two rules see that:

- No epoch for 20 times the median, and at least a minute. It needs epochs to compare with, and a
  training that has begun: reading the data and setting up may take much longer than an epoch.
- Hardly any CPU time in a minute, from the first moment on. A first epoch may honestly take
  hours, but it computes; what waits for a lock or a lost mount does not.

A slot's first training that spins, in an endless loop or at a GPU that does not answer, is seen by
neither: only `trial_seconds` ends it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence

STALL_SECONDS = 60.0
STALL_FACTOR = 20  # epochs that take this many times the median are no epochs any more
MIN_EPOCHS = 3
IDLE_CPU_SECONDS = 0.3  # waiting, with a sign of life every 5 s, takes a hundredth of that


class Patience:
    """With one wait for a worker's next word, which begins now.

    Args:
        epoch_seconds: of earlier epochs, if the next word is to be an epoch; else empty.
    """

    def __init__(self, epoch_seconds: Sequence[float] = ()) -> None:
        self._moved = time.monotonic()
        self._deadline = math.inf
        if len(epoch_seconds) >= MIN_EPOCHS:
            usual = STALL_FACTOR * statistics.median(epoch_seconds)
            self._deadline = self._moved + max(STALL_SECONDS, usual)
        self._cpu: float | None = None

    def complaint(self, cpu_seconds: float) -> str | None:
        """Why not to wait any longer; None: go on.

        Args:
            cpu_seconds: of the worker since it started, as its sign of life says.
        """
        now = time.monotonic()
        if now > self._deadline:
            return f"no epoch for {STALL_FACTOR} times the usual"
        if self._cpu is None or cpu_seconds - self._cpu >= IDLE_CPU_SECONDS:
            self._cpu, self._moved = cpu_seconds, now
        if now - self._moved > STALL_SECONDS:
            return f"less than {IDLE_CPU_SECONDS} s of CPU time in {STALL_SECONDS:.0f} s"
        return None
