"""Baselines to beat: popularity, and two item-to-item models that ignore order.

All are Scorers, so `recsys.evaluation.evaluator.Evaluator` measures them in the same way as the
towers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recsys.data import Floats32, Interactions, Ints64
from recsys.errors import DataError
from recsys.models.history import device_ranges

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]
from collections.abc import Callable, Mapping

from recsys.models.scorer import Scorer

MAX_ITEMS = 10_000  # limit of EASE: its item-to-item matrix is dense, 0.8 GB in float64
MAX_PAIRS = 8_000_000  # pairs of items counted at a time by item-kNN: some 200 MB


class Popularity:
    """A scorer that gives every user the items with the most rows, whatever the rows weigh.

    Ties score equally, and a tie never favours the relevant item (see `recsys.evaluation.ranking`).

    Args:
        seen: the rows to count.
        device: device of the scores.
    """

    def __init__(self, seen: Interactions, device: torch.device) -> None:
        counts = np.bincount(seen.items, minlength=seen.n_items)
        self.counts = torch.as_tensor(counts, dtype=torch.float32, device=device)  # (n_items,)

    def scores(self, users: Tensor) -> Tensor:
        """Return each item's number of rows, the same for all users.

        Args:
            users: (b,) int64.

        Returns:
            (b, n_items) float32.
        """
        return self.counts.repeat(len(users), 1)


class ItemToItem:
    """A scorer by pairs of items.

    The score of item i for user u is the sum of weights[j, i] over u's items j.

    Args:
        seen: items of each user; repeats and weights count once.
        weights: (n_items, n_items) float32.
    """

    def __init__(self, seen: Interactions, weights: Tensor) -> None:
        self._weights = weights
        self._items = torch.as_tensor(seen.items, dtype=torch.int64, device=weights.device)
        self._offsets = torch.as_tensor(seen.offsets, device=weights.device)

    def scores(self, users: Tensor) -> Tensor:
        """Return the sums of weights over each user's items.

        Args:
            users: (b,) int64.

        Returns:
            (b, n_items) float32.
        """
        start = self._offsets[users]
        owner, position = device_ranges(start, self._offsets[users + 1] - start)
        has = torch.zeros(len(users), len(self._weights), device=self._weights.device)
        has[owner, self._items[position]] = 1
        return has @ self._weights


class ItemNeighbours:
    """The scorer `ItemToItem` with sparse weights, for any catalogue size.

    The CPU computes the scores, so that they are the same for all devices.

    Args:
        has: (n_users, n_items) float32, 1 for each item that a user has.
        weights: (n_items, n_items) float32; row j holds the scores that item j adds to the others.
        device: device of the returned scores.
    """

    def __init__(self, has: csr_array, weights: csr_array, device: torch.device) -> None:
        self._has, self._weights, self._device = has, weights, device

    def scores(self, users: Tensor) -> Tensor:
        """Return the sums of weights over each user's items.

        Args:
            users: (b,) int64.

        Returns:
            (b, n_items) float32.
        """
        found = (self._has[users.cpu().numpy()] @ self._weights).toarray()
        return torch.from_numpy(found).to(self._device)


def item_knn(seen: Interactions, device: torch.device, neighbours: int = 100) -> ItemNeighbours:
    """Return a scorer by the cosine between items' sets of users, over each item's nearest items.

    Pairs are counted sparsely, a part of the catalogue at a time, so no (n_items, n_items)
    matrix exists. Among equally near neighbours, the first in the catalogue count.

    Args:
        seen: items of each user; repeats and weights count once.
        device: device of the scores.
        neighbours: number of neighbours of an item, >= 1.
    """
    from scipy.sparse import csr_array

    # scipy is loaded here, because workers and registered models import this module without it
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
    """Yield the items of a part of the catalogue with their nearest neighbours and cosines.

    Args:
        has: (n_users, n_items), 1 for each item that a user has.
        neighbours: number of neighbours of an item, >= 1.

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
        cosine[items == others] = 0  # an item is not its own neighbour
        kept = [
            low + _largest(cosine[low:high], neighbours)
            for low, high in zip(together.indptr[:-1], together.indptr[1:], strict=True)
        ]
        rows = np.concatenate(kept)
        rows = rows[cosine[rows] > 0]
        yield items[rows], others[rows], cosine[rows]


def _parts(owners: csr_array, has: csr_array) -> Iterator[tuple[int, int]]:
    """Yield ranges of items with at most MAX_PAIRS pairs to count, or single items."""
    n = owners.shape[0]
    pairs = np.minimum(owners @ np.diff(has.indptr).astype(np.float64), n).cumsum()
    start = 0
    while start < n:
        before = pairs[start - 1] if start else 0.0
        stop = max(start + 1, int(np.searchsorted(pairs, before + MAX_PAIRS, side="right")))
        yield start, stop
        start = stop


def _largest(values: Floats32, k: int) -> Ints64:
    """Return the positions of the k largest values (all if fewer); of equal values, the first."""
    if len(values) <= k:
        return np.arange(len(values))
    least = np.partition(values, len(values) - k)[len(values) - k]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.concatenate([above, equal[: k - len(above)]])


def ease(seen: Interactions, device: torch.device, regularization: float = 500.0) -> ItemToItem:
    """Return the linear autoencoder without self-loops, solved in closed form.

    Source: Steck 2019, "Embarrassingly shallow autoencoders for sparse data", algorithm 1.

    Args:
        seen: items of each user; repeats and weights count once.
        device: device of the computation and the scores.
        regularization: value added to the diagonal of the item-to-item counts.

    Raises:
        DataError: there are more than 10,000 items.
    """
    return ItemToItem(seen, ease_weights(seen, device, regularization))


def ease_weights(seen: Interactions, device: torch.device, regularization: float) -> Tensor:
    """Return the weights of `ease`.

    Args:
        seen: items of each user; repeats and weights count once.
        device: device of the computation and the result.
        regularization: value added to the diagonal of the item-to-item counts.

    Returns:
        (n_items, n_items) float32; row j, column i is the score that having item j adds to item i.

    Raises:
        DataError: there are more than 10,000 items.
    """
    together = _together(seen, device)
    together.diagonal().add_(regularization)
    inverse = torch.linalg.inv(together)
    weights: Tensor = (inverse / -inverse.diagonal()).fill_diagonal_(0).float()
    return weights


def _together(seen: Interactions, device: torch.device) -> Tensor:
    """Return the number of users that have both items, for all pairs of items.

    Returns:
        (n_items, n_items) float64.

    Raises:
        DataError: there are more than 10,000 items.
    """
    n = seen.n_items
    if n > MAX_ITEMS:
        raise DataError(f"EASE: {n:,} items; its dense matrix allows at most {MAX_ITEMS:,}")
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
