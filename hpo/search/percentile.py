"""Pruning rules that compare a trial with the COMPLETE ones at the same epoch."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import Protocol

MIN_CURVES = 5  # COMPLETE trials (or `startup`, if less) that must have reached an epoch


class PercentileRule:
    """A rule that prunes a trial if its best value so far is not among the best `keep` %.

    The trial is compared with the values of all COMPLETE trials at its epoch, as in Optuna's
    PercentilePruner and (50 %) MedianPruner, which tests compare this rule with.

    Args:
        keep: percentage of the values that counts as good.
        startup: COMPLETE trials before the first trial is pruned.
        warmup: epochs that every trial gets.
    """

    def __init__(self, keep: float, startup: int, warmup: int) -> None:
        self._keep, self._startup, self._warmup = keep, startup, warmup
        self._finished = 0
        self._sorted_at: list[list[float]] = []  # [epoch - 1]

    def add(self, number: int, values: Sequence[float], complete: bool) -> None:
        """Register the curve of a COMPLETE trial; other trials do not count.

        Args:
            number: number of the trial.
            values: values of the trial's epochs 1, 2, ...
            complete: True if the trial is COMPLETE.
        """
        if not complete:
            return
        self._finished += 1
        while len(self._sorted_at) < len(values):
            self._sorted_at.append([])
        for others, value in zip(self._sorted_at, values, strict=False):
            insort(others, value)

    def discard(self, number: int) -> None:
        """Do nothing: a trial counts only once it is added.

        Args:
            number: number of the trial.
        """

    def is_hopeless(self, number: int, values: Sequence[float]) -> bool:
        """Return True if the trial's best value so far is below the percentile at its epoch.

        Args:
            number: number of the trial.
            values: values of the trial's epochs so far, at least one.
        """
        epoch = len(values)
        if self._finished < self._startup or not max(1, self._warmup) <= epoch:
            return False
        others = self._sorted_at[epoch - 1] if epoch <= len(self._sorted_at) else []
        if len(others) < min(MIN_CURVES, max(1, self._startup)):
            return False
        return max(values) < quantile(others, 1 - self._keep / 100)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the quantile of sorted values, interpolated linearly as numpy does.

    Args:
        ordered: values, ascending, at least one.
        share: share of the values below the quantile, in [0, 1].
    """
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


class _Rule(Protocol):
    def add(self, number: int, values: Sequence[float], complete: bool) -> None: ...

    def discard(self, number: int) -> None: ...

    def is_hopeless(self, number: int, values: Sequence[float]) -> bool: ...


class PatientRule:
    """A rule that spares a trial until its last `patience` + 1 epochs lie below its best.

    Optuna's PatientPruner does the same.

    Args:
        rule: judges the trials that are not spared.
        patience: epochs without improvement that a trial may have.
    """

    def __init__(self, rule: _Rule, patience: int) -> None:
        self._rule, self._patience = rule, patience

    def add(self, number: int, values: Sequence[float], complete: bool) -> None:
        """Register a trial with the wrapped rule.

        Args:
            number: number of the trial.
            values: values of the trial's epochs 1, 2, ...
            complete: True if the trial is COMPLETE.
        """
        self._rule.add(number, values, complete)

    def discard(self, number: int) -> None:
        """Have the wrapped rule forget a trial that may not win.

        Args:
            number: number of the trial.
        """
        self._rule.discard(number)

    def is_hopeless(self, number: int, values: Sequence[float]) -> bool:
        """Return True if the trial stopped improving and the wrapped rule would prune it.

        Args:
            number: number of the trial.
            values: values of the trial's epochs so far, at least one.
        """
        before, after = values[: -self._patience - 1], values[-self._patience - 1 :]
        if not before or max(before) <= max(after):
            return False
        return self._rule.is_hopeless(number, values)
