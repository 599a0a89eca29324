"""The only module that decides which rows are held out.

`split()` labels every row train, validation or test. Tuning gets `Split.tuning` (fit on train,
scored on validation). Promotion alone gets `Split.final` (fit on train and validation, scored on
test). Neither of them can reach the rows of the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from recsys.data.features import Ints64
from recsys.data.interactions import Bools, Interactions
from recsys.data.sorting import lexsorted
from recsys.errors import ConfigError, DataError
from recsys.messages import count

Method = Literal["temporal", "random", "leave-one-out", "global-time", "given"]


Parts = npt.NDArray[np.int8]


TRAIN, VALIDATION, TEST = 0, 1, 2


def by_user(interactions: Interactions, method: Method, seed: int) -> Ints64 | None:
    """Return row positions by user, the rows of a user shuffled where their times do not count.

    Args:
        interactions: the rows.
        method: method of the split; all but "random" use the times.
        seed: seed of the shuffling.

    Returns:
        (n,) int64, or None if the rows already are by user with the newest last.
    """
    if method != "random" and interactions.times is not None:
        return None
    noise = _generator(seed).random(len(interactions))
    return lexsorted(interactions.users, noise)


def places(
    interactions: Interactions, free: Bools, order: Ints64 | None
) -> tuple[Ints64, Ints64, Ints64]:
    """Return the place of each free row, counted from the end of its user's free rows.

    Args:
        interactions: all n rows.
        free: (n,) bool, the rows to count.
        order: (n,) row positions by user, newest last; None for the order of the rows.

    Returns:
        ((m,) place: 1 for the newest row, (m,) row position, (n_users,) number of free rows), all
        int64.
    """
    rows = np.flatnonzero(free) if order is None else order[free[order]]
    counts = np.bincount(interactions.users[rows], minlength=interactions.n_users)
    return np.repeat(np.cumsum(counts), counts) - np.arange(len(rows)), rows, counts


def leave_one_out(interactions: Interactions, order: Ints64 | None, parts: Parts) -> None:
    """Mark each user's newest train row as test and the row before as validation, in place.

    Users with fewer than 3 train rows keep all of them in train.

    Args:
        interactions: all n rows.
        order: (n,) row positions by user, newest last; None for the order of the rows.
        parts: (n,) int8 labels, changed in place.
    """
    place, rows, counts = places(interactions, parts == TRAIN, order)
    enough = np.repeat(counts >= 3, counts)
    for part, from_the_end in ((TEST, 1), (VALIDATION, 2)):
        parts[rows[enough & (place == from_the_end)]] = part


def newest(interactions: Interactions, free: Bools, fraction: float) -> Ints64:
    """Return the newest share of the free rows; among equally old rows, the last ones.

    Args:
        interactions: all n rows, with times.
        free: (n,) bool, the rows to choose from.
        fraction: share of the free rows, rounded down to whole rows.

    Returns:
        (k,) int64 row positions.
    """
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
    """The question of one evaluation: after learning from `seen`, which items come in `relevant`?

    Both parts share one vocabulary and have no row in common.

    Attributes:
        seen: the rows to learn from, which also are the users' histories.
        relevant: the rows to predict.
    """

    seen: Interactions
    relevant: Interactions


@dataclass(frozen=True, eq=False)
class Split:
    """Interactions with each row labelled train, validation or test.

    Attributes:
        interactions: the n rows.
        parts: (n,) int8: 0 train, 1 validation, 2 test.
        method: method of the split.
        fraction: share held out at each of the two steps.
        seed: seed of the random draws.
        eval_users: largest number of users that tuning asks; test is always asked for all users.
    """

    interactions: Interactions
    parts: Parts
    method: Method
    fraction: float
    seed: int
    eval_users: int = EVAL_USERS

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of train, validation and test rows."""
        train, validation, test = np.bincount(self.parts, minlength=3).tolist()
        return train, validation, test

    @cached_property
    def n_validation_users(self) -> int:
        """Return the number of users with validation rows.

        Tuning asks at most `eval_users` of them.
        """
        return len(np.unique(self.interactions.users[self.parts == VALIDATION]))

    @property
    def is_sampled(self) -> bool:
        """Return True if tuning asks only a sample of the users with validation rows."""
        return self.n_validation_users > self.eval_users

    @property
    def train(self) -> Interactions:
        """Return the train rows."""
        return self.interactions.take(self.parts == TRAIN)

    @property
    def validation(self) -> Interactions:
        """Return the validation rows, of all users."""
        return self.interactions.take(self.parts == VALIDATION)

    @property
    def test(self) -> Interactions:
        """Return the test rows."""
        return self.interactions.take(self.parts == TEST)

    @cached_property
    def tuning(self) -> Holdout:
        """Return train as history and validation as the question: all rows that tuning may see.

        Of more than `eval_users` users with validation rows, a random sample is asked.
        """
        return Holdout(self.train, _sampled(self.validation, self.eval_users, self.seed))

    @cached_property
    def final(self) -> Holdout:
        """Return train + validation as history and test as the question.

        Only promotion asks this question, once.
        """
        return Holdout(self.interactions.take(self.parts != TEST), self.test)

    @cached_property
    def fingerprint(self) -> str:
        """Return 16 hex digits that identify the split.

        They depend on the data, the method, its fraction and seed, every row's part, and the size
        of a sample of users.
        """
        digest = hashlib.sha256(self.interactions.fingerprint.encode())
        digest.update(f"{self.method} {self.fraction!r} {self.seed}".encode())
        digest.update(self.parts.tobytes())
        if self.is_sampled:
            digest.update(f"eval_users {self.eval_users}".encode())
        return digest.hexdigest()[:16]


class Splittable(Protocol):
    """Interactions that may come with a ready-made split, as a `Dataset`."""

    @property
    def interactions(self) -> Interactions:
        """Return all rows."""

    @property
    def parts(self) -> Parts | None:
        """Return each row's part of the ready-made split; None if there is no such split."""


def split(
    interactions: Interactions | Splittable,
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
        random: k rows of each user, drawn with `seed`.
        leave-one-out: for users with n >= 3 the newest row is test, the row before validation.
        global-time: the newest `fraction` of all rows, so no user's future is seen at all.
        given: as the files say; if they have no validation, it is taken out of train by the
            rule of `temporal`.

    Args:
        interactions: all rows, or a data set with its ready-made split, if it has one.
        method: None means `given` if the data comes with a split, else `temporal`.
        fraction: share held out at each of the two steps, 0 < fraction < 1.
        seed: seed of the random draws, part of the fingerprint.
        eval_users: largest number of users that tuning asks; more are sampled at random.
        given: (n,) int8, the part of each row in a ready-made split; None: the data set's.

    Raises:
        ConfigError: the method is unknown or needs times or files that are missing, or a number
            is out of range.
        DataError: validation or test would be empty, or no user has two rows in train.
    """
    if not isinstance(interactions, Interactions):
        given = interactions.parts if given is None else given
        interactions = interactions.interactions
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
        # If the files' test rows were all dropped, test stays empty: none are taken from train.
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
    """Check the options of `split`.

    Raises:
        ConfigError: one problem for each option that is out of range or does not fit the data.
    """
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
    """Return the rows of `n_users` users drawn at random, or all rows if no more users exist."""
    users = np.unique(relevant.users)
    if len(users) <= n_users:
        return relevant
    chosen = np.zeros(relevant.n_users, np.bool_)
    chosen[_generator(seed).choice(users, n_users, replace=False)] = True
    return relevant.take(chosen[relevant.users])


def _check_parts(result: Split) -> None:
    """Check that the split leaves rows to learn from and rows to ask for.

    Raises:
        DataError: a part is empty, or no user has two rows in train.
    """
    train, validation, test = result.counts
    found = f"{train} train, {validation} validation and {count(int(test), 'test row')}"
    if result.method == "given" and test == 0:
        raise DataError(
            f"nothing to hold out: {found}. Train (or validation) has every user and item of the "
            "test file, and such rows are dropped; keep them with --repeats keep, give another "
            "test file, or choose another split"
        )
    if min(result.counts) == 0:
        raise DataError(
            f"nothing to hold out: {found} with split {result.method!r}. {_what_is_needed(result)}"
        )
    if np.bincount(result.interactions.users[result.parts == TRAIN]).max() < 2:
        raise DataError(
            f"nothing to learn from: {found} with split {result.method!r} leave every user at "
            "most one row in train, so there is no next item to learn. Give more interactions, or "
            "another split."
        )


def _what_is_needed(result: Split) -> str:
    """Return the rows that the method needs, those that there are, and the cure."""
    users, fraction = result.interactions.users, result.fraction
    if result.method == "given":
        if result.counts[TRAIN] == 0:
            return "No row is left in train; give a train file with other rows."
        most = int(np.bincount(users[result.parts == TRAIN]).max())
        return (
            f"No user has the 3 rows in train that a validation needs (the most is {most}): "
            "give a validation file (valid.*), or more rows in train."
        )
    if result.method == "global-time":
        return (
            f"Test is the newest {fraction:g} of {count(len(users), 'row')}, validation the same "
            "share of the rest, both rounded down to whole rows. Give more interactions, or a "
            "larger fraction."
        )
    # Two rows must be left beside the share for test: n - fraction * n > 2, and n is 4 or more.
    needed = 3 if result.method == "leave-one-out" else max(4, int(2 / (1 - fraction) + 1e-9) + 1)
    return (
        f"At least one user needs {needed} different items; the most that any user has is "
        f"{int(np.bincount(users).max(initial=0))}. Give more interactions."
    )


def _generator(seed: int) -> np.random.Generator:
    """Return the generator of random draws.

    Raises:
        DataError: the seed is negative.
    """
    if seed < 0:
        raise DataError(f"the split's seed is {seed}; give 0 or more")
    return np.random.default_rng(seed)
