"""Limits of waiting for a living worker: honest work gets its time, a hung worker does not.

A worker without any heartbeat counts as dead, see `WorkerProcess.receive`. A worker with
heartbeats may still hang, since a thread of its own sends them. Two rules detect that:

- No epoch for 20 times the median of the training's epochs, and at least a minute. The rule needs
  three epochs to compare with; those of another configuration say nothing, nor do those that a
  parked model of the user's own tells again in no time: it is compared from its first slow one on.
- Hardly any CPU time in a minute, from the first moment on, child processes included. A first epoch
  may honestly take hours, but it computes; a worker that waits for a lock or a lost mount does not.

Neither rule detects a training that spins in its first epochs, in an endless loop or at a GPU that
does not answer: only `trial_seconds` ends it.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

STALL_SECONDS = 60.0
STALL_FACTOR = 20  # a worker whose epoch takes this many times the median is stalled
MIN_EPOCHS = 3
USUAL_EPOCHS = 100  # last epochs whose seconds count as usual
IDLE_CPU_SECONDS = 0.3  # per minute; waiting with a heartbeat every 5 s takes 1% of that


def is_quick(seconds: float) -> bool:
    """Return True if epochs of this length are too short for STALL_FACTOR to matter."""
    return seconds * STALL_FACTOR < STALL_SECONDS


class FamilyClock:
    """The CPU time of this process and its descendants, as a sign of life.

    A model may compute in processes of its own. Looking for them does not count: on a machine of
    thousands of processes it alone would pass for life.
    """

    def __init__(self) -> None:
        self._looking = 0.0  # CPU seconds of all looks so far

    def seconds(self) -> float:
        """Return the CPU time since the process started, in seconds; call it from one thread."""
        own, began = os.times(), time.thread_time()
        total = own.user + own.system + own.children_user + own.children_system - self._looking
        with suppress(psutil.Error, OSError):  # processes that may not be looked at
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):  # it has just ended
                    total += _cpu_seconds(child)
        self._looking += time.thread_time() - began
        return total


def _cpu_seconds(child: psutil.Process) -> float:
    """Return the CPU time of a child and of its children that have ended."""
    used = child.cpu_times()
    ended = getattr(used, "children_user", 0.0) + getattr(used, "children_system", 0.0)
    return float(used.user + used.system + ended)


class StallLimit:
    """The limits of one wait for a worker's next message, which begins now.

    Args:
        epoch_seconds: seconds of earlier epochs, if the next message is to be an epoch; else empty.
    """

    def __init__(self, epoch_seconds: Sequence[float] = ()) -> None:
        self._moved = time.monotonic()
        self._deadline = math.inf
        if len(epoch_seconds) >= MIN_EPOCHS:
            usual = STALL_FACTOR * statistics.median(epoch_seconds)
            self._deadline = self._moved + max(STALL_SECONDS, usual)
        self._cpu: float | None = None

    def complaint(self, cpu_seconds: float) -> str | None:
        """Return the reason to stop waiting; None: go on.

        Args:
            cpu_seconds: CPU time of the worker since it started, see `FamilyClock`.
        """
        now = time.monotonic()
        if now > self._deadline:
            return f"no epoch for {STALL_FACTOR} times the usual"
        if self._cpu is None or cpu_seconds - self._cpu >= IDLE_CPU_SECONDS:
            self._cpu, self._moved = cpu_seconds, now
        self._cpu = min(self._cpu, cpu_seconds)  # a child that ended may take its time with it
        if now - self._moved > STALL_SECONDS:
            return f"less than {IDLE_CPU_SECONDS} s of CPU time in {STALL_SECONDS:.0f} s"
        return None
