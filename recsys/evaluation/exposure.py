"""Exposure of the catalogue in all users' lists: its coverage, novelty and inequality."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from recsys.data import Interactions, Ints64

SHOWN: Final = 10  # items of the list whose exposure is measured
COVERAGE, NOVELTY, GINI = (f"{family}_at_{SHOWN}" for family in ("coverage", "novelty", "gini"))


def owners(seen: Interactions) -> Ints64:
    """Return how many users have each item in `seen`, (n_items,); a user's repeats count once."""
    items = seen.items
    if seen.repeats == "keep":
        items = np.unique(seen.users.astype(np.int64) * seen.n_items + seen.items) % seen.n_items
    return np.bincount(items, minlength=seen.n_items)


def exposure(shown: Ints64, owned_by: Ints64, n_users: int) -> dict[str, float]:
    """Return coverage, novelty and Gini index of the lists that m users are shown.

    Args:
        shown: (m, SHOWN) items of each list, -1 in places where no item is left.
        owned_by: (n_items,) users who have each item in the data that the lists come from.
        n_users: users with at least one item in that data.
    """
    views = np.bincount(shown[shown >= 0], minlength=len(owned_by))
    return {
        COVERAGE: _coverage(views),
        NOVELTY: _novelty(shown, owned_by, n_users),
        GINI: _gini(views),
    }


def _coverage(views: Ints64) -> float:
    """Return the catalogue coverage, in [0, 1]: the share of items in at least one list.

    |union of the lists| / |items|, as RecBole's ItemCoverage (Ge, Delgado-Battenfeld and Jannach
    2010) and RecTools' CatalogCoverage.

    Args:
        views: (n_items,) lists that each item is in.
    """
    return float(np.count_nonzero(views) / len(views))


def _novelty(shown: Ints64, owned_by: Ints64, n_users: int) -> float:
    """Return the novelty in bits, >= 0: the mean self-information of what is shown.

    The mean over users of the mean over their list of -log2(users who have the item / users), as
    RecTools' MeanInvUserFreq (Zhou et al. 2010). Items that nobody has count as owned by one user.
    Users whose list is empty are left out; 0 if all are.

    Args:
        shown: (m, k) items, -1 in places where no item is left.
        owned_by: (n_items,) users who have each item.
        n_users: users with at least one item.
    """
    bits: npt.NDArray[np.float64] = -np.log2(np.maximum(owned_by, 1) / max(1, n_users))
    is_item = shown >= 0
    lengths = is_item.sum(1)
    sums = np.where(is_item, bits[shown], 0.0).sum(1)
    return float((sums[lengths > 0] / lengths[lengths > 0]).mean()) if lengths.any() else 0.0


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
