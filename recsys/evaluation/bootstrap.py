"""Percentile bootstrap intervals of means over users.

Users are resampled, so an interval says how far the mean could lie for other users of the same
kind. It says nothing about another training seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.evaluation.metrics import Floats

RESAMPLES = 2000
LEVEL = 0.95
MAX_UNITS = 10_000
CHUNK = 1 << 18  # random numbers drawn at once


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence bounds.

    Attributes:
        mean: mean over the users.
        low: lower bound.
        high: upper bound.
    """

    mean: float
    low: float
    high: float


def mean_interval(
    values: Floats, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the confidence interval of the mean of one value per user.

    To compare two models, pass the differences per user: the paired interval is far narrower than
    the intervals of the two models suggest.

    Args:
        values: (m,) float64, one per user, m >= 1.
        level: share of such intervals that contain the true mean in the long run.
        resamples: draws of m users with replacement.
        seed: same values and seed, same interval.

    Raises:
        ValueError: there are no values.
    """
    return mean_intervals(values[:, None], level=level, resamples=resamples, seed=seed)[0]


def mean_intervals(
    columns: Floats, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> list[Interval]:
    """Return one interval per column; all columns see the same resampled users.

    More than 10,000 users are first averaged in at most 10,000 random groups of equal size. A mean
    of groups varies as a mean of users does, so the interval stays the same, and a million users
    cost no more than 10,000.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.

    Args:
        columns: (m, c) float64, m >= 1 users.
        level: share of such intervals that contain the true mean in the long run.
        resamples: draws of m users with replacement.
        seed: same columns and seed, same intervals.

    Raises:
        ValueError: there are no users.
    """
    if len(columns) == 0:
        raise ValueError("no users to resample: give at least one row")
    rng = np.random.default_rng(seed)
    units = _groups(columns, rng)
    n = len(units)
    means = np.empty((resamples, columns.shape[1]))
    step = max(1, CHUNK // n)
    for start in range(0, resamples, step):
        part = means[start : start + step]
        part[:] = units[rng.integers(0, n, (len(part), n))].mean(1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return [
        Interval(float(mean), float(below), float(above))
        for mean, below, above in zip(columns.mean(0), low, high, strict=True)
    ]


def _groups(columns: Floats, rng: np.random.Generator) -> Floats:
    """Return (n, c): the users, or means of equal groups of users beyond MAX_UNITS.

    Users left over after the last full group are dropped.
    """
    size = -(-len(columns) // MAX_UNITS)
    if size == 1:
        return columns
    n = len(columns) // size
    shuffled = columns[rng.permutation(len(columns))[: n * size]]
    means: Floats = shuffled.reshape(n, size, -1).mean(1)
    return means
