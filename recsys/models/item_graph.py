"""Sparse weights between items from users' sets of items, for catalogues of any size.

Pairs of items that share a user are counted a part of the catalogue at a time, so neither all pairs
nor an (n_items, n_items) matrix exist at once. The weights of an item are the same however the
catalogue is divided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.data import Floats32, Interactions, Ints64

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

PAIRS_AT_ONCE = 8_000_000  # pairs of items counted at a time: some 200 MB
ALPHA, BETA = 0.9, 0.3  # exponents of `walk_edges`: of neighbours and of the baseline
MAX_WALKS = 500_000_000  # pairs counted in all for walks, some 10 CPU seconds

Floats = npt.NDArray[np.float64]
Edges = tuple[Ints64, Ints64, Floats32]  # three (m,) arrays: item, neighbour, weight > 0


def owned(seen: Interactions) -> csr_array:
    """Return (n_users, n_items) float32: 1 for each item that a user has, repeats once."""
    from scipy.sparse import csr_array

    # scipy is loaded here, because workers and registered models import this module without it
    ones = np.ones(len(seen.items), np.float32)
    has = csr_array((ones, (seen.users, seen.items)), shape=(seen.n_users, seen.n_items))
    has.data[:] = 1  # construction sums repeats
    return has


def cosine_edges(has: csr_array, neighbours: int) -> Iterator[Edges]:
    """Yield the nearest neighbours of a part of the catalogue by the cosine of their users.

    Among equally near neighbours, the first in the catalogue count.

    Args:
        has: (n_users, n_items), 1 for each item that a user has.
        neighbours: number of neighbours of an item, >= 1.
    """
    norm = np.sqrt(np.maximum(has.sum(axis=0, dtype=np.float64), 1))

    def cosine(together: Floats, items: Ints64, others: Ints64) -> Floats:
        found: Floats = together / norm[items] / norm[others]
        return found

    return _nearest(has, np.ones(has.shape[0]), cosine, neighbours)


def walk_edges(has: csr_array, neighbours: int, alpha: float, beta: float) -> Iterator[Edges]:
    """Yield the likeliest ends of random walks item, user, item from a part of the catalogue.

    The weight of a walk from j to i is the sum over their common users u of
    (rows of j * rows of u) ** -alpha, divided by (rows of i) ** beta: with alpha = 1 the
    probability of the walk, with beta > 0 less for ends that many walks reach. Among equally
    likely ends, the first in the catalogue count. If the data has more than MAX_WALKS walks,
    only so many random items of each long history are walked over that no more are left.

    Source: Paudel, Christoffel, Newell, Bernstein 2017, "Updatable, accurate, diverse, and scalable
    recommendations for interactive applications" (RP3beta), with the alpha of Cooper et al. 2014.

    Args:
        has: (n_users, n_items), 1 for each item that a user has.
        neighbours: number of ends kept for an item, >= 1.
        alpha: exponent of both steps' probabilities, >= 0.
        beta: discount of popular ends, >= 0.
    """
    has = _shortened(has, MAX_WALKS)
    of_user = np.maximum(np.diff(has.indptr), 1).astype(np.float64) ** -alpha
    rows = np.maximum(has.sum(axis=0, dtype=np.float64), 1)
    source, end = rows**-alpha, rows**-beta

    def likelihood(together: Floats, items: Ints64, others: Ints64) -> Floats:
        found: Floats = together * source[items] * end[others]
        return found

    return _nearest(has, of_user, likelihood, neighbours)


def _nearest(
    has: csr_array,
    of_user: Floats,
    weigh: Callable[[Floats, Ints64, Ints64], Floats],
    neighbours: int,
) -> Iterator[Edges]:
    """Yield the items of a part of the catalogue with their nearest neighbours.

    Args:
        has: (n_users, n_items), 1 for each item that a user has.
        of_user: (n_users,), what a user adds to a pair of their items.
        weigh: weights of pairs from the sums over users, the items and their neighbours.
        neighbours: number of neighbours of an item, >= 1.
    """
    counts = has.astype(np.float64)
    owners = counts.T.tocsr()
    owners.data *= of_user[owners.indices]
    for start, stop in _parts(has):
        together = owners[start:stop] @ counts
        together.sort_indices()
        items = np.repeat(np.arange(start, stop), np.diff(together.indptr))
        others = together.indices.astype(np.int64)
        weight = weigh(together.data, items, others).astype(np.float32)
        weight[items == others] = 0  # an item is not its own neighbour
        kept = [
            low + _largest(weight[low:high], neighbours)
            for low, high in zip(together.indptr[:-1], together.indptr[1:], strict=True)
        ]
        rows = np.concatenate(kept)
        rows = rows[weight[rows] > 0]
        yield items[rows], others[rows], weight[rows]


def _parts(has: csr_array) -> Iterator[tuple[int, int]]:
    """Yield ranges of items with at most PAIRS_AT_ONCE pairs to count, or single items."""
    n = has.shape[1]
    pairs = np.minimum(has.T @ np.diff(has.indptr).astype(np.float64), n).cumsum()
    start = 0
    while start < n:
        before = pairs[start - 1] if start else 0.0
        stop = max(start + 1, int(np.searchsorted(pairs, before + PAIRS_AT_ONCE, side="right")))
        yield start, stop
        start = stop


def _largest(values: Floats32, k: int) -> Ints64:
    """Return the positions of the k largest values (all if fewer); of equal values, the first."""
    if len(values) <= k:
        return np.arange(len(values))
    least = np.partition(values, len(values) - k)[len(values) - k]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.concatenate([above, equal[: k - len(above)]])


def _shortened(has: csr_array, most: int) -> csr_array:
    """Return the users' items, of long histories only some at random: at most `most` pairs.

    Args:
        has: (n_users, n_items), 1 for each item that a user has.
        most: largest sum of squared lengths of the histories.
    """
    lengths = np.diff(has.indptr).astype(np.float64)
    if lengths @ lengths <= most:
        return has
    low, high = 1, int(lengths.max())  # the longest history that is short enough lies between
    while high - low > 1:
        middle = (low + high) // 2
        total = np.square(np.minimum(lengths, middle)).sum()
        low, high = (middle, high) if total <= most else (low, middle)
    noise = np.random.default_rng(0).random(has.nnz)
    owner = np.repeat(np.arange(has.shape[0]), np.diff(has.indptr))
    order = np.lexsort((noise, owner))
    place = np.arange(has.nnz) - has.indptr[:-1].astype(np.int64)[owner]
    kept = has.copy()
    kept.data[order[place >= low]] = 0
    kept.eliminate_zeros()
    return kept
