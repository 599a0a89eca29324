"""The rules by which rows are held out, as arithmetic; `recsys.split` puts them together."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from recsys.interactions import Bools, Interactions, Ints64
from recsys.ordering import lexsorted

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
