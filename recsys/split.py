"""The only place that decides who is held out.

`split()` labels every row train, validation or test. Tuning gets `Split.tuning` (fit on train,
asked for validation); promotion alone gets `Split.final` (fit on train + validation, asked for
test). Neither can reach the other's rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from recsys.errors import ConfigError, DataError
from recsys.interactions import Bools, Interactions, Ints64

Method = Literal["temporal", "random", "leave-one-out", "global-time"]
TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Holdout:
    """One question: having learned from `seen`, which items come in `relevant`?

    Both parts share one vocabulary and have no row in common.
    """

    seen: Interactions
    relevant: Interactions


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of `interactions` labelled 0 train, 1 validation, 2 test (parts: (n,) int8)."""

    interactions: Interactions
    parts: np.typing.NDArray[np.int8]
    method: Method
    fraction: float
    seed: int

    @property
    def train(self) -> Interactions:
        return self.interactions.take(self.parts == TRAIN)

    @property
    def validation(self) -> Interactions:
        return self.interactions.take(self.parts == VALIDATION)

    @property
    def test(self) -> Interactions:
        return self.interactions.take(self.parts == TEST)

    @cached_property
    def tuning(self) -> Holdout:
        """Train and validation: all that tuning may see."""
        return Holdout(self.train, self.validation)

    @cached_property
    def final(self) -> Holdout:
        """Train + validation as history, test as the question. For promotion, once."""
        return Holdout(self.interactions.take(self.parts != TEST), self.test)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the data, the method and every row's part."""
        digest = hashlib.sha256(self.interactions.fingerprint.encode())
        digest.update(f"{self.method} {self.fraction!r} {self.seed}".encode())
        digest.update(self.parts.tobytes())
        return digest.hexdigest()[:16]


def split(
    interactions: Interactions,
    method: Method = "temporal",
    *,
    fraction: float = 0.2,
    seed: int = 0,
) -> Split:
    """Hold out rows for test, then by the same rule for validation.

    Methods:
        temporal: each user's newest `k = max(1, floor(fraction * n))` rows, for users with
            n >= 3; ties in time keep the order of the file. Leaks nothing within a user; other
            users' future stays visible. Without times it is `random`.
        random: k rows a user, drawn with `seed`.
        leave-one-out: the newest row of each user with n >= 3 (k = 1).
        global-time: the newest `fraction` of all rows, so no user's future is seen at all.

    Args:
        fraction: share held out at each of the two steps, 0 < fraction < 1.
        seed: of the random draw; part of the fingerprint.

    Raises:
        ConfigError: unknown method, fraction out of range, or a method that needs times.
        DataError: nobody has enough rows, so validation or test would be empty.
    """
    _check_options(interactions, method, fraction)
    order = _rank_within_user(interactions, method, seed)
    parts = np.zeros(len(interactions), np.int8)
    for part in (TEST, VALIDATION):
        free = parts == TRAIN
        if method == "global-time":
            held = _newest(interactions, free, fraction)
        else:
            share = 0.0 if method == "leave-one-out" else fraction
            held = _last_of_each_user(interactions, free, order, share)
        parts[held] = part
    result = Split(interactions, parts, method, fraction, seed)
    _check_parts(result)
    return result


def _check_options(interactions: Interactions, method: Method, fraction: float) -> None:
    problems = []
    if method not in get_args(Method):
        problems.append(f"split={method!r}: must be one of {', '.join(get_args(Method))}")
    if not 0 < fraction < 1:
        problems.append(f"fraction={fraction}: must lie between 0 and 1")
    if method == "global-time" and interactions.times is None:
        problems.append("split='global-time' needs a time column; use 'temporal' or 'random'")
    if problems:
        raise ConfigError(problems)


def _rank_within_user(interactions: Interactions, method: Method, seed: int) -> Ints64:
    """(n,) int64: each row's place in its user's history, shuffled where time says nothing."""
    if method == "random" or interactions.times is None:
        noise = np.random.default_rng(seed).random(len(interactions))
        by_user = np.lexsort((noise, interactions.users))
    else:
        by_user = np.arange(len(interactions))
    rank = np.empty(len(interactions), np.int64)
    rank[by_user] = np.arange(len(interactions))
    return rank


def _last_of_each_user(
    interactions: Interactions, free: Bools, order: Ints64, fraction: float
) -> Ints64:
    """The last max(1, floor(fraction * n)) free rows of users with n >= 3 of them."""
    rows = np.flatnonzero(free)
    rows = rows[np.argsort(order[rows])]
    users = interactions.users[rows]
    counts = np.bincount(users, minlength=interactions.n_users)
    held = np.where(counts >= 3, np.maximum(1, np.floor(fraction * counts + 1e-9)), 0)
    from_the_end = np.cumsum(counts)[users] - np.arange(len(rows))  # 1 = the user's newest
    return rows[from_the_end <= held[users]]


def _newest(interactions: Interactions, free: Bools, fraction: float) -> Ints64:
    assert interactions.times is not None
    rows = np.flatnonzero(free)
    rows = rows[np.argsort(interactions.times[rows], kind="stable")]
    return np.sort(rows[len(rows) - int(fraction * len(rows)) :])


def _check_parts(result: Split) -> None:
    counts = np.bincount(result.parts, minlength=3)
    if counts.min() > 0:
        return
    most = int(np.bincount(result.interactions.users).max(initial=0))
    raise DataError(
        f"nothing to hold out: {counts[TRAIN]} train, {counts[VALIDATION]} validation and "
        f"{counts[TEST]} test rows with split {result.method!r}. At least one user needs 4 "
        f"different items; the most that any user has is {most}. Give more interactions."
    )
