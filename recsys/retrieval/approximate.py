"""Approximate top-k of large catalogues: exact scores of a few candidates, in far less time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recsys.data import Floats32, Ints64
from recsys.retrieval.exact import Catalogue
from recsys.retrieval.ivf import ListSearch
from recsys.retrieval.neighbour_queries import NeighbourQueries

CHUNK = 256  # users answered at once: some 100 MB at k = 1000
MOST_HIDDEN = 1000  # most extra items searched for in place of hidden ones; they take 0.2 ms


@dataclass(frozen=True, eq=False)
class IndexedCatalogue:
    """A `Catalogue` behind an index: candidates come from lists, their scores are exact.

    Neighbours only add to scores. So an item that is nobody's neighbour, and among a user's k
    best, is among the k best without neighbours too. Candidates are these k and all neighbours:
    if every list is searched, the answers are those of `Catalogue`.

    Attributes:
        exact: the same items; answers if the index does not find k candidates for a user.
        search: the items' points in lists.
        probes: lists searched per user.
    """

    exact: Catalogue
    search: ListSearch
    probes: int

    @property
    def chunk(self) -> int:
        """Return the number of users that may be answered at once."""
        return CHUNK

    @property
    def candidates(self) -> float:
        """Return the mean number of items in the lists that are searched for a user."""
        return self.probes * self.exact.n_items / self.search.n_lists

    def suffices(self, hidden: int, k: int) -> bool:
        """Return True if the index can be expected to find k items for a user.

        If it does not, `best` scores the whole catalogue for this user.

        Args:
            hidden: number of items that must not be answered.
            k: number of items wanted.
        """
        return hidden <= MOST_HIDDEN and k + hidden <= self.candidates

    def best(
        self, vectors: Tensor, asks: NeighbourQueries, hidden: Ints64, k: int
    ) -> tuple[Tensor, Tensor]:
        """Return the k best items of b users as `Catalogue.best` does, on the CPU.

        Args:
            vectors: (b, dim) float32.
            asks: the neighbour queries of the users.
            hidden: (x,) row * n_items + item of every item that must not be answered.
            k: at least 1.

        Returns:
            (b, min(k, n_items)) float32 scores, descending, -inf where no item is left, and int64
            items.
        """
        n, b = self.exact.n_items, len(vectors)
        k = min(k, n)
        queries = np.column_stack([vectors.cpu().numpy(), np.ones(b, np.float32)])
        ordered = np.append(np.sort(hidden), b * n)
        keys, enough = self._without_neighbours(queries, ordered, k)
        keys, gains = _joined(keys, *self.exact.gains(asks), ordered)
        rows, items = np.divmod(keys, n)
        scores = np.einsum("ij,ij->i", self.search.points(items), queries[rows]) + gains
        found = _best_of_rows(rows, items, scores, (b, k))
        for some in _pieces(np.flatnonzero(~enough), self.exact.chunk):
            mine = np.isin(hidden // n, some)
            theirs = np.searchsorted(some, hidden[mine] // n) * n + hidden[mine] % n
            given = vectors[torch.from_numpy(some).to(vectors.device)], asks.part(some)
            for place, value in zip(found, self.exact.best(*given, theirs, k), strict=True):
                place[some] = value.cpu()
        return found

    def _without_neighbours(
        self, queries: Floats32, hidden: Ints64, k: int
    ) -> tuple[Ints64, npt.NDArray[np.bool_]]:
        """Return up to k visible items per user, best first without neighbours, and who has k.

        Returns:
            ((c,) int64 keys row * n_items + item, (b,) bool, True for users with k items).
        """
        n, b = self.exact.n_items, len(queries)
        longest = int(np.bincount(hidden[:-1] // n, minlength=1).max())
        found = self.search.best(queries, min(n, k + min(longest, MOST_HIDDEN)), self.probes)
        keys = np.arange(b)[:, None] * n + found
        free = (found >= 0) & ~_among(keys, hidden)
        place = np.cumsum(free, axis=1)
        return keys[free & (place <= k)], place[:, -1] >= k


def _joined(keys: Ints64, near: Ints64, gains: Floats32, hidden: Ints64) -> tuple[Ints64, Floats32]:
    """Return keys of candidates and visible neighbours, ascending, each once, and their gains."""
    counts = (gains > 0) & ~_among(near, hidden)  # short lists of neighbours are padded with 0
    joined, place = np.unique(np.concatenate([keys, near[counts]]), return_inverse=True)
    gained = np.bincount(place[len(keys) :], gains[counts], minlength=len(joined))
    return joined, gained.astype(np.float32)


def _among(keys: Ints64, hidden: Ints64) -> npt.NDArray[np.bool_]:
    """Return True per key that is in `hidden`, which ascends and ends with a value above all keys.

    np.isin takes 75 us even for a few keys.
    """
    found: npt.NDArray[np.bool_] = hidden[np.searchsorted(hidden, keys)] == keys
    return found


def _best_of_rows(
    rows: Ints64, items: Ints64, scores: Floats32, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the best (b, k) scores of each row, descending, and their items; rows (c,) ascend."""
    b, k = shape
    order = np.lexsort((-scores, rows))
    place = np.arange(len(rows)) - np.searchsorted(rows, np.arange(b))[rows]
    first = place < k
    order, at = order[first], (rows[first], place[first])
    best, where = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int64)
    best[at], where[at] = scores[order], items[order]
    return torch.from_numpy(best), torch.from_numpy(where)


def _pieces(rows: Ints64, size: int) -> list[Ints64]:
    """Return `rows` in consecutive parts of at most `size`."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
