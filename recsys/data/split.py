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
import numpy.typing as npt

from recsys.data.interactions import Bools, Interactions, Ints64
from recsys.data.sorting import lexsorted
from recsys.errors import ConfigError, DataError
from recsys.messages import count

Method = Literal["temporal", "random", "leave-one-out", "global-time", "given"]


Parts = npt.NDArray[np.int8]


TRAIN, VALIDATION, TEST = 0, 1, 2


def by_user(interactions: Interactions, method: Method, seed: int) -> Ints64 | None:
    """(n,) row positions by user, newest last, shuffled where time says nothing; None: as it is."""
    if method != "random" and interactions.times is not None:
        return None
    noise = np.random.default_rng(seed).random(len(interactions))
    return lexsorted(interactions.users, noise)


def places(
    interactions: Interactions, free: Bools, order: Ints64 | None
) -> tuple[Ints64, Ints64, Ints64]:
    """The free rows by user, all int64.

    Returns:
        (m,) place from the end of the user's (1 = newest), (m,) row, (n_users,) how many.
    """
    rows = np.flatnonzero(free) if order is None else order[free[order]]
    counts = np.bincount(interactions.users[rows], minlength=interactions.n_users)
    return np.repeat(np.cumsum(counts), counts) - np.arange(len(rows)), rows, counts


def leave_one_out(interactions: Interactions, order: Ints64 | None, parts: Parts) -> None:
    place, rows, counts = places(interactions, parts == TRAIN, order)
    enough = np.repeat(counts >= 3, counts)
    for part, from_the_end in ((TEST, 1), (VALIDATION, 2)):
        parts[rows[enough & (place == from_the_end)]] = part


def newest(interactions: Interactions, free: Bools, fraction: float) -> Ints64:
    """The newest share of the free rows; of equally old ones the last."""
    assert interactions.times is not None
    rows = np.flatnonzero(free)
    times = interactions.times[rows]
    k = int(fraction * len(rows))
    if k == 0:
        return rows[:0]
    edge = np.partition(times, len(rows) - k)[len(rows) - k]
    held = times > edge
    ties = np.flatnonzero(times == edge)
    held[ties[len(ties) - (k - held.sum()) :]] = True
    newest: Ints64 = rows[held]
    return newest


EVAL_USERS = 50_000


@dataclass(frozen=True, eq=False)
class Holdout:
    """One question: having learned from `seen`, which items come in `relevant`?

    Both parts share one vocabulary and have no row in common.
    """

    seen: Interactions
    relevant: Interactions


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of `interactions` labelled 0 train, 1 validation, 2 test (parts: (n,) int8).

    `eval_users` is how many users tuning asks at most; test is always asked for all.
    """

    interactions: Interactions
    parts: Parts
    method: Method
    fraction: float
    seed: int
    eval_users: int = EVAL_USERS

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """Rows of train, validation and test."""
        train, validation, test = np.bincount(self.parts, minlength=3).tolist()
        return train, validation, test

    @cached_property
    def n_validation_users(self) -> int:
        """Users with validation rows; tuning asks `eval_users` of them at most."""
        return len(np.unique(self.interactions.users[self.parts == VALIDATION]))

    @property
    def is_sampled(self) -> bool:
        """Whether tuning asks some of these users only."""
        return self.n_validation_users > self.eval_users

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
        """Train and validation: all that tuning may see; of many users it asks a sample."""
        return Holdout(self.train, _sampled(self.validation, self.eval_users, self.seed))

    @cached_property
    def final(self) -> Holdout:
        """Train + validation as history, test as the question. For promotion, once."""
        return Holdout(self.interactions.take(self.parts != TEST), self.test)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the data, the method, every row's part, and a sample's size."""
        digest = hashlib.sha256(self.interactions.fingerprint.encode())
        digest.update(f"{self.method} {self.fraction!r} {self.seed}".encode())
        digest.update(self.parts.tobytes())
        if self.is_sampled:
            digest.update(f"eval_users {self.eval_users}".encode())
        return digest.hexdigest()[:16]


def split(
    interactions: Interactions,
    method: Method | None = None,
    *,
    fraction: float = 0.2,
    seed: int = 0,
    eval_users: int = EVAL_USERS,
    given: Parts | None = None,
) -> Split:
    """Hold out rows for test, then by the same rule for validation.

    Methods:
        temporal: each user's newest `k = max(1, floor(fraction * n))` rows, for users with
            n >= 3; ties in time keep the order of the file. Leaks nothing within a user; other
            users' future stays visible. Without times it is `random`.
        random: k rows a user, drawn with `seed`.
        leave-one-out: of users with n >= 3 the newest row is test, the one before validation.
        global-time: the newest `fraction` of all rows, so no user's future is seen at all.
        given: as the files say; where they have no validation, it is taken out of train as
            `temporal` would take it.

    Args:
        method: None: `given` if the data comes with a split, else `temporal`.
        fraction: share held out at each of the two steps, 0 < fraction < 1.
        seed: of the random draws; part of the fingerprint.
        eval_users: tuning asks a random sample of so many users, if there are more.
        given: (n,) int8, each row's part, of data that comes in a ready-made split.

    Raises:
        ConfigError: unknown method, a number out of range, or a method that needs times or files.
        DataError: validation or test would be empty, or nobody has two rows in train.
    """
    method = method or ("temporal" if given is None else "given")
    _check_options(interactions, method, fraction, eval_users, given)
    parts = np.zeros(len(interactions), np.int8)
    if method == "given" and given is not None:
        parts = given.copy()
    if method == "leave-one-out":
        leave_one_out(interactions, by_user(interactions, method, seed), parts)
    elif method == "global-time":
        for part in (TEST, VALIDATION):
            parts[newest(interactions, parts == TRAIN, fraction)] = part
    else:
        order = by_user(interactions, method, seed)
        # A test of the files that is empty stays empty: none is made up out of train.
        for part in (VALIDATION,) if method == "given" else (TEST, VALIDATION):
            if not (parts == part).any():
                place, rows, counts = places(interactions, parts == TRAIN, order)
                held = np.maximum(1, np.floor(fraction * counts + 1e-9)) * (counts >= 3)
                parts[rows[place <= held.astype(np.int32)[interactions.users[rows]]]] = part
    result = Split(interactions, parts, method, fraction, seed, eval_users)
    _check_parts(result)
    return result


def _check_options(
    interactions: Interactions,
    method: Method,
    fraction: float,
    eval_users: int,
    given: Parts | None,
) -> None:
    problems = []
    if method not in get_args(Method):
        problems.append(f"split={method!r}: must be one of {', '.join(get_args(Method))}")
    if not 0 < fraction < 1:
        problems.append(f"fraction={fraction}: must lie between 0 and 1")
    if eval_users < 1:
        problems.append(f"eval_users={eval_users}: must be 1 or more")
    if method == "global-time" and interactions.times is None:
        problems.append("split='global-time' needs a time column; use 'temporal' or 'random'")
    if method == "given" and given is None:
        problems.append(
            "split='given' needs data in a ready-made split: a folder with train.* and test.* (and "
            "validation.*, if you like); give such a folder or another split"
        )
    if problems:
        raise ConfigError(problems)


def _sampled(relevant: Interactions, n_users: int, seed: int) -> Interactions:
    """The rows of `n_users` users drawn at random, or of all if there are no more."""
    users = np.unique(relevant.users)
    if len(users) <= n_users:
        return relevant
    chosen = np.zeros(relevant.n_users, np.bool_)
    chosen[np.random.default_rng(seed).choice(users, n_users, replace=False)] = True
    return relevant.take(chosen[relevant.users])


def _check_parts(result: Split) -> None:
    train, validation, test = result.counts
    found = f"{train} train, {validation} validation and {count(int(test), 'test row')}"
    if result.method == "given" and test == 0:
        raise DataError(
            f"nothing to hold out: {found}. Train (or validation) has every user and item of the "
            "test file, and such rows are dropped; keep them with --repeats keep, give another "
            "test file, or choose another split"
        )
    if min(result.counts) == 0:
        most = int(np.bincount(result.interactions.users).max(initial=0))
        raise DataError(
            f"nothing to hold out: {found} with split {result.method!r}. At least one user needs "
            f"4 different items; the most that any user has is {most}. Give more interactions."
        )
    if np.bincount(result.interactions.users[result.parts == TRAIN]).max() < 2:
        raise DataError(
            f"nothing to learn from: {found} with split {result.method!r} leave nobody more than "
            "one row in train, so nothing follows anything. Give more interactions, or another "
            "split."
        )
