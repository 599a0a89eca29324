"""How far a mean over users could be off: percentile bootstrap intervals.

The users are resampled, so an interval says what other users of the same kind would have shown.
It says nothing about another training seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.evaluation.metrics import Floats

RESAMPLES = 2000
LEVEL = 0.95
MAX_UNITS = 10_000
CHUNK = 1 << 18  # random numbers at a time


@dataclass(frozen=True)
class Interval:
    """A mean, and between which bounds it lies with the level's confidence."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: Floats, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The interval of the mean of values: (m,), one per user.

    For the difference of two models give the differences per user: paired, it is far narrower
    than the two intervals suggest.
    """
    return mean_intervals(values[:, None], level=level, resamples=resamples, seed=seed)[0]


def mean_intervals(
    columns: Floats, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> list[Interval]:
    """One interval for each of the c columns; all see the same resampled users.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.

    Args:
        columns: (m, c) float64, m >= 1 users.
        level: share of such intervals that hold the true mean, in the long run.
        resamples: draws of m users with replacement.
        seed: same columns and seed, same intervals.

    More than 10,000 users are averaged in as many random groups of equal size first. A mean of
    groups varies as a mean of users does, so the interval stays the same, and a million users
    cost no more than 10,000.
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
    """(n, c): the users themselves, or means of equally large groups; the last few fit no group."""
    size = -(-len(columns) // MAX_UNITS)
    if size == 1:
        return columns
    n = len(columns) // size
    shuffled = columns[rng.permutation(len(columns))[: n * size]]
    means: Floats = shuffled.reshape(n, size, -1).mean(1)
    return means
