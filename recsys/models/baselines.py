"""The lines to beat: popularity, and two item-to-item models that know no order.

All are Scorers, so `recsys.evaluation.evaluator.Evaluator` measures them as it measures the towers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Floats32, Interactions, Ints64
from recsys.errors import DataError
from recsys.models.histories import ranges

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]
from collections.abc import Callable, Mapping

from recsys.models.scorer import Scorer

MAX_ITEMS = 10_000  # of EASE, whose item-to-item matrix is dense: 0.8 GB in float64
MAX_PAIRS = 8_000_000  # pairs of items that item-kNN counts at a time: some 200 MB


class Popularity:
    """Every user gets the items with the most rows in `seen`, whatever the rows weigh.

    Ties score equally, and a tie never favours the relevant item (see `recsys.evaluation.ranking`).
    """

    def __init__(self, seen: Interactions, device: torch.device) -> None:
        counts = np.bincount(seen.items, minlength=seen.n_items)
        self.counts = torch.as_tensor(counts, dtype=torch.float32, device=device)  # (n_items,)

    def scores(self, users: Tensor) -> Tensor:
        return self.counts.repeat(len(users), 1)


class ItemToItem:
    """score of item i for user u = sum over u's items j of weights[j, i].

    Args:
        seen: which items each user has; repeats and weights count once.
        weights: (n_items, n_items) float32.
    """

    def __init__(self, seen: Interactions, weights: Tensor) -> None:
        self._weights = weights
        self._items = torch.as_tensor(seen.items, dtype=torch.int64, device=weights.device)
        self._offsets = torch.as_tensor(seen.offsets, device=weights.device)

    def scores(self, users: Tensor) -> Tensor:
        start = self._offsets[users]
        owner, position = ranges(start, self._offsets[users + 1] - start)
        has = torch.zeros(len(users), len(self._weights), device=self._weights.device)
        has[owner, self._items[position]] = 1
        return has @ self._weights


class ItemNeighbours:
    """The scores of `ItemToItem` from sparse weights, at any catalogue size.

    They are computed by the CPU, so that they are the same whatever the device.

    Args:
        has: (n_users, n_items) float32, 1 for each item that a user has.
        weights: (n_items, n_items) float32, row j says what having item j adds to the others.
        device: where the scores are wanted.
    """

    def __init__(self, has: csr_array, weights: csr_array, device: torch.device) -> None:
        self._has, self._weights, self._device = has, weights, device

    def scores(self, users: Tensor) -> Tensor:
        found = (self._has[users.cpu().numpy()] @ self._weights).toarray()
        return torch.from_numpy(found).to(self._device)


def item_knn(seen: Interactions, device: torch.device, neighbours: int = 100) -> ItemNeighbours:
    """Return a scorer by the cosine between items' sets of users, from each item's nearest.

    Pairs are counted sparsely, a part of the catalogue at a time, so no (n_items, n_items)
    matrix exists. Of equally near neighbours the first in the catalogue count.

    Args:
        seen: which items each user has; repeats and weights count once.
        device: where the scores are wanted.
        neighbours: that an item keeps, >= 1.
    """
    from scipy.sparse import csr_array

    # scipy is loaded here: workers and registered models import this module and need none of it
    n = seen.n_items
    ones = np.ones(len(seen.items), np.float32)
    has = csr_array((ones, (seen.users, seen.items)), shape=(seen.n_users, n))  # sums repeats
    has.data[:] = 1
    parts = list(_nearest(has, neighbours))
    target, source, nearness = (np.concatenate(part) for part in zip(*parts, strict=True))
    return ItemNeighbours(
        has, csr_array((nearness, (source, target)), shape=(n, n), dtype=np.float32), device
    )


def _nearest(has: csr_array, neighbours: int) -> Iterator[tuple[Ints64, Ints64, Floats32]]:
    """Yield the items of a part of the catalogue, their nearest neighbours and how near they are.

    Args:
        has: (n_users, n_items), 1 for each item that a user has.
        neighbours: that an item keeps, >= 1.

    Yields:
        Three arrays (m,): an item, one of its neighbours, and their cosine.
    """
    counts = has.astype(np.float64)
    owners = counts.T.tocsr()
    norm = np.sqrt(np.maximum(owners.sum(axis=1), 1))
    for start, stop in _parts(owners, has):
        together = owners[start:stop] @ counts
        together.sort_indices()
        lengths = np.diff(together.indptr)
        items = np.repeat(np.arange(start, stop), lengths)
        others = together.indices.astype(np.int64)
        cosine = (together.data / norm[items] / norm[others]).astype(np.float32)
        cosine[items == others] = 0  # nobody is their own neighbour
        kept = [
            low + _largest(cosine[low:high], neighbours)
            for low, high in zip(together.indptr[:-1], together.indptr[1:], strict=True)
        ]
        rows = np.concatenate(kept)
        rows = rows[cosine[rows] > 0]
        yield items[rows], others[rows], cosine[rows]


def _parts(owners: csr_array, has: csr_array) -> Iterator[tuple[int, int]]:
    """Yield ranges of items of which at most MAX_PAIRS pairs can be counted, or single items."""
    n = owners.shape[0]
    pairs = np.minimum(owners @ np.diff(has.indptr).astype(np.float64), n).cumsum()
    start = 0
    while start < n:
        before = pairs[start - 1] if start else 0.0
        stop = max(start + 1, int(np.searchsorted(pairs, before + MAX_PAIRS, side="right")))
        yield start, stop
        start = stop


def _largest(values: Floats32, k: int) -> Ints64:
    """Return where the k largest values are, the first among equals; all if there are no more."""
    if len(values) <= k:
        return np.arange(len(values))
    least = np.partition(values, len(values) - k)[len(values) - k]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.concatenate([above, equal[: k - len(above)]])


def ease(seen: Interactions, device: torch.device, regularization: float = 500.0) -> ItemToItem:
    """The linear autoencoder without self-loops, in closed form.

    Source: Steck 2019, "Embarrassingly shallow autoencoders for sparse data", algorithm 1.

    Raises:
        DataError: more than 10,000 items.
    """
    return ItemToItem(seen, ease_weights(seen, device, regularization))


def ease_weights(seen: Interactions, device: torch.device, regularization: float) -> Tensor:
    """(n_items, n_items) float32: row j, column i is what having j says for i; see `ease`."""
    together = _together(seen, device)
    together.diagonal().add_(regularization)
    inverse = torch.linalg.inv(together)
    weights: Tensor = (inverse / -inverse.diagonal()).fill_diagonal_(0).float()
    return weights


def _together(seen: Interactions, device: torch.device) -> Tensor:
    """(n_items, n_items) float64: how many users have both items."""
    n = seen.n_items
    if n > MAX_ITEMS:
        raise DataError(f"EASE: {n:,} items are more than the {MAX_ITEMS:,} that it can be made of")
    pairs = np.unique(np.stack([seen.users, seen.items]).astype(np.int64), axis=1)
    values = torch.ones(pairs.shape[1], dtype=torch.float64)
    has = torch.sparse_coo_tensor(
        torch.as_tensor(pairs), values, (seen.n_users, n), device=device, check_invariants=True
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        together: Tensor = torch.sparse.mm(has.T, has).to_dense()
    return together


BASELINES: Mapping[str, Callable[[Interactions, torch.device], Scorer]] = {
    "popularity": Popularity,
    "itemknn": item_knn,
    "ease": ease,
}
