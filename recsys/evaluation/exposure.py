"""Exposure of the catalogue in all users' lists: its coverage, novelty and inequality."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from recsys.data import Interactions, Ints64
from recsys.evaluation.metric_names import EXPOSURES

SHOWN: Final = 10  # items of the list whose exposure is always measured
COVERAGE, NOVELTY, GINI = (f"{family}_at_{SHOWN}" for family in EXPOSURES)
ROWS_AT_ONCE = 4096  # lists read at a time, so that long lists take little memory


def shown_cutoffs(cutoffs: Iterable[int] = ()) -> tuple[int, ...]:
    """Return the lengths of lists whose exposure is measured: 10 and further ones, ascending."""
    return tuple(sorted({SHOWN, *cutoffs}))


def owners(seen: Interactions) -> Ints64:
    """Return how many users have each item in `seen`, (n_items,); a user's repeats count once."""
    items = seen.items
    if seen.repeats == "keep":
        items = np.unique(seen.users.astype(np.int64) * seen.n_items + seen.items) % seen.n_items
    return np.bincount(items, minlength=seen.n_items)


def exposure(
    shown: npt.NDArray[np.int32] | Ints64,
    owned_by: Ints64,
    n_users: int,
    cutoffs: Sequence[int] = (SHOWN,),
) -> dict[str, float]:
    """Return coverage, novelty and Gini index of the lists that m users are shown.

    Args:
        shown: (m, max(cutoffs)) items of each list, -1 in places where no item is left.
        owned_by: (n_items,) users who have each item in the data that the lists come from.
        n_users: users with at least one item in that data.
        cutoffs: how many items at the top of a list count, >= 1; three values for each.
    """
    found: dict[str, float] = {}
    for k in cutoffs:
        blocks = [
            shown[start : start + ROWS_AT_ONCE, :k] for start in range(0, len(shown), ROWS_AT_ONCE)
        ]
        views = np.zeros(len(owned_by), np.int64)
        for block in blocks:
            views += np.bincount(block[block >= 0], minlength=len(owned_by))
        found |= {
            f"coverage_at_{k}": _coverage(views),
            f"novelty_at_{k}": _novelty(blocks, owned_by, n_users),
            f"gini_at_{k}": _gini(views),
        }
    return found


def _coverage(views: Ints64) -> float:
    """Return the catalogue coverage, in [0, 1]: the share of items in at least one list.

    |union of the lists| / |items|, as RecBole's ItemCoverage (Ge, Delgado-Battenfeld and Jannach
    2010) and RecTools' CatalogCoverage.

    Args:
        views: (n_items,) lists that each item is in.
    """
    return float(np.count_nonzero(views) / len(views))


def _novelty(
    blocks: Iterable[npt.NDArray[np.int32] | Ints64], owned_by: Ints64, n_users: int
) -> float:
    """Return the novelty in bits, >= 0: the mean self-information of what is shown.

    The mean over users of the mean over their list of -log2(users who have the item / users), as
    RecTools' MeanInvUserFreq (Zhou et al. 2010). Items that nobody has count as owned by one user.
    Users whose list is empty are left out; 0 if all are.

    Args:
        blocks: (b, k) items of some users each, -1 in places where no item is left.
        owned_by: (n_items,) users who have each item.
        n_users: users with at least one item.
    """
    bits: npt.NDArray[np.float64] = -np.log2(np.maximum(owned_by, 1) / max(1, n_users))
    means = [np.empty(0)]
    for shown in blocks:
        is_item = shown >= 0
        lengths = is_item.sum(1)
        sums = np.where(is_item, bits[shown], 0.0).sum(1)
        means.append(sums[lengths > 0] / lengths[lengths > 0])
    of_users = np.concatenate(means)
    return float(of_users.mean()) if len(of_users) else 0.0


def _gini(views: Ints64) -> float:
    """Return the Gini index of exposure, in [0, 1): 0 if all items are shown equally often.

    sum_i (2 i - n - 1) * views_i / (n * sum_i views_i), i = 1..n by ascending views over all n
    items of the catalogue, as RecBole's GiniIndex (Sun et al. 2019). 0 if nothing is shown.

    Args:
        views: (n_items,) lists that each item is in.
    """
    n, total = len(views), views.sum()
    if total == 0:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) * np.sort(views)).sum() / (n * total))
