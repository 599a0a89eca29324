"""A pruning rule that forecasts a trial's chance to become the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class ForecastRule:
    """A rule that prunes a trial if a new trial would more likely become the best.

    The final value of a trial is forecast by a linear regression over the COMPLETE trials that
    reached its epoch: from the best value so far and the value at half of the epochs so far to the
    final value. So the rule learns from the study itself how much an epoch tells. If early values
    tell nothing (curves cross: quick starters end low), the forecast is wide and no trial is
    pruned; median, percentile and halving take early values for final ones. A trial is pruned if
    its chance to end above the best trial is below `share` % of the chance of a new trial, which
    follows from the mean and the spread of the final values.

    Args:
        share: percentage of a new trial's chance, below which a trial is pruned.
        startup: COMPLETE trials before the first trial is pruned; at least 5 are needed.
        warmup: epochs that every trial gets.
    """

    def __init__(self, share: float, startup: int, warmup: int) -> None:
        self._share = share / 100
        self._startup, self._warmup = max(startup, 5), max(warmup, 1)
        self._best: float | None = None  # best final value of the COMPLETE trials
        self._origin = 0.0
        self._products = np.zeros((0, 4, 4))  # [epoch - 1], summed over trials

    def add(self, number: int, values: Sequence[float], complete: bool) -> None:
        """Register the curve of a COMPLETE trial; other trials do not count.

        Args:
            number: number of the trial.
            values: values of the trial's epochs 1, 2, ...
            complete: True if the trial is COMPLETE.
        """
        if not complete or not values:
            return
        final = max(values)
        if self._best is None:
            self._best = self._origin = final  # sums of squares of small differences lose less
        self._best = max(self._best, final)
        if len(values) > len(self._products):
            grown = np.zeros((len(values), 4, 4))
            grown[: len(self._products)] = self._products
            self._products = grown
        curve = np.asarray(values, dtype=np.float64) - self._origin
        rows = np.column_stack([_regressors(curve), np.full(len(curve), final - self._origin)])
        self._products[: len(values)] += rows[:, :, None] * rows[:, None, :]

    def discard(self, number: int) -> None:
        """Do nothing: a trial counts only once it is added.

        Args:
            number: number of the trial.
        """

    def is_hopeless(self, number: int, values: Sequence[float]) -> bool:
        """Return True if the trial's chance to become the best is too small.

        Args:
            number: number of the trial.
            values: values of the trial's epochs so far, at least one.
        """
        epoch = len(values)
        if self._best is None or not self._warmup <= epoch <= len(self._products):
            return False
        if self._products[epoch - 1, 0, 0] < self._startup:
            return False
        best, origin = self._best - self._origin, self._origin
        known = (max(values) - origin, values[epoch // 2 if epoch > 1 else 0] - origin)
        here, new = self._products[epoch - 1].tolist(), self._products[0].tolist()
        return _chance(here, known, best) < self._share * _chance(new, None, best)


def _regressors(curve: Floats) -> Floats:
    """Return (epochs, 3) of a curve (epochs,): 1, best value so far, value at half the epochs."""
    half = (np.arange(len(curve)) + 1) // 2  # the place of epoch e // 2 + 1
    return np.column_stack([np.ones(len(curve)), np.maximum.accumulate(curve), curve[half]])


def _chance(products: list[list[float]], known: tuple[float, float] | None, best: float) -> float:
    """Return the chance that a final value lies above `best`.

    Args:
        products: (4, 4), sums over trials of the products of their facts and final values.
        known: best value so far and value at half of the epochs; None for a new trial.
        best: best final value so far.
    """
    n, mean = products[0][0], products[0][3] / products[0][0]

    def spread(i: int, j: int) -> float:
        return products[i][j] - products[0][i] * products[0][j] / n

    error, factor, forecast, freedom = spread(3, 3), 1 + 1 / n, mean, n - 1
    if known is not None:
        a, b, c, u, v = spread(1, 1), spread(1, 2), spread(2, 2), spread(1, 3), spread(2, 3)
        x, y = known[0] - products[0][1] / n, known[1] - products[0][2] / n
        determinant = a * c - b * b
        if determinant > 1e-9 * a * c:  # else both predictors tell the same, so use only the first
            first, second = (c * u - b * v) / determinant, (a * v - b * u) / determinant
            factor += (c * x * x - 2 * b * x * y + a * y * y) / determinant
            forecast += first * x + second * y
            error -= first * u + second * v
            freedom -= 2
        elif a > 0:
            factor += x * x / a
            forecast += u / a * x
            error -= u * u / a
            freedom -= 1
    deviation = math.sqrt(max(error, 0.0) / freedom * factor)
    z = (best - forecast) / max(deviation, 1e-12)
    # Student's distribution, approximated by the nearest normal one
    z *= (1 - 1 / (4 * freedom)) / math.sqrt(1 + z * z / (2 * freedom))
    return math.erfc(z / math.sqrt(2)) / 2
