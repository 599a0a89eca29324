"""Successive halving: at a few epochs, the rungs, only the best part of the trials goes on."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence


class HalvingRule:
    """Asynchronous successive halving, as in Optuna's SuccessiveHalvingPruner.

    At a rung a trial goes on if its best value so far is among the best 1 / `reduction` of all
    trials that reached the rung so far, whatever their later states; of fewer than `reduction`
    trials only the best goes on. The first rung is at epoch `first`, each next one at `reduction`
    times the epoch.

    Args:
        first: epoch of the first rung; below 1 counts as 1.
        reduction: 1 / share of the trials that go on, at least 2.
    """

    def __init__(self, first: int, reduction: int) -> None:
        self._first, self._reduction = max(1, first), reduction
        self._at_rung: dict[int, dict[int, float]] = {}  # epoch -> trial -> best so far

    def add(self, number: int, values: Sequence[float], complete: bool) -> None:
        """Register a trial at the rungs that it reached.

        Args:
            number: number of the trial.
            values: values of the trial's epochs 1, 2, ...
            complete: ignored: pruned and failed trials count as well.
        """
        epoch = self._first
        while epoch <= len(values):
            self._at_rung.setdefault(epoch, {})[number] = max(values[:epoch])
            epoch *= self._reduction

    def discard(self, number: int) -> None:
        """Forget a trial that may not win, at all rungs.

        Args:
            number: number of the trial.
        """
        for reached in self._at_rung.values():
            reached.pop(number, None)

    def is_hopeless(self, number: int, values: Sequence[float]) -> bool:
        """Return True if the trial is at a rung and not among the best there; register it there.

        Args:
            number: number of the trial.
            values: values of the trial's epochs so far, at least one.
        """
        epoch = len(values)
        if not self._is_rung(epoch):
            return False
        best = max(values)
        reached = self._at_rung.setdefault(epoch, {})
        reached[number] = best
        n_promoted = max(1, len(reached) // self._reduction)
        return best < sorted(reached.values())[-n_promoted]

    def _is_rung(self, epoch: int) -> bool:
        """Return True if a rung is at this epoch."""
        while epoch > self._first and epoch % self._reduction == 0:
            epoch //= self._reduction
        return epoch == self._first


class HyperbandRule:
    """Successive halving in several brackets with later and later first rungs.

    A bracket is drawn for each trial from the study's name and the trial's number, as in Optuna's
    HyperbandPruner; trials compete within their bracket.

    Args:
        first: epoch of the earliest rung.
        most: epochs that a trial may have.
        reduction: 1 / share of the trials that go on at a rung, at least 2.
        study_name: name of the study.
    """

    def __init__(self, first: int, most: int, reduction: int, study_name: str) -> None:
        self._study_name = study_name
        first = max(1, first)
        n = math.floor(math.log(max(most, first) / first, reduction)) + 1
        self._brackets = [HalvingRule(first * reduction**s, reduction) for s in range(n)]
        self._shares = [math.ceil(n * reduction ** (n - 1 - s) / (n - s)) for s in range(n)]

    def add(self, number: int, values: Sequence[float], complete: bool) -> None:
        """Register a trial in its bracket.

        Args:
            number: number of the trial, which decides the bracket.
            values: values of the trial's epochs 1, 2, ...
            complete: ignored: pruned and failed trials count as well.
        """
        self._bracket(number).add(number, values, complete)

    def discard(self, number: int) -> None:
        """Forget a trial that may not win.

        Args:
            number: number of the trial, which decides the bracket.
        """
        self._bracket(number).discard(number)

    def is_hopeless(self, number: int, values: Sequence[float]) -> bool:
        """Return True if the trial is at a rung of its bracket and not among the best there.

        Args:
            number: number of the trial, which decides the bracket.
            values: values of the trial's epochs so far, at least one.
        """
        return self._bracket(number).is_hopeless(number, values)

    def _bracket(self, number: int) -> HalvingRule:
        """Return the bracket of a trial.

        Raises:
            AssertionError: no bracket has the drawn place, which cannot happen.
        """
        place = zlib.crc32(f"{self._study_name}_{number}".encode()) % sum(self._shares)
        for bracket, share in zip(self._brackets, self._shares, strict=True):
            place -= share
            if place < 0:
                return bracket
        raise AssertionError("the shares sum up")
