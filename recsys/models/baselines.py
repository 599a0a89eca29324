"""Baselines to beat: popularity, and three item-to-item models that ignore order.

All are Scorers, so `recsys.evaluation.evaluator.Evaluator` measures them in the same way as the
towers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recsys.data import Floats32, Interactions, Ints64
from recsys.errors import DataError
from recsys.models.history import device_ranges
from recsys.models.item_graph import ALPHA, BETA, Edges, cosine_edges, owned, walk_edges
from recsys.models.scorer import Scorer

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

MAX_ITEMS = 10_000  # limit of EASE: its item-to-item matrix is dense, 0.8 GB in float64


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
        users = users.to(self._weights.device)
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
    has = owned(seen)
    item, neighbour, cosine = _joined(cosine_edges(has, neighbours))
    return ItemNeighbours(has, _weights(neighbour, item, cosine, seen.n_items), device)


def rp3beta(
    seen: Interactions,
    device: torch.device,
    neighbours: int = 100,
    alpha: float = ALPHA,
    beta: float = BETA,
) -> ItemNeighbours:
    """Return a scorer by random walks from each item of a user, see `walk_edges`.

    Args:
        seen: items of each user; repeats and weights count once.
        device: device of the scores.
        neighbours: number of ends kept for an item, >= 1.
        alpha: exponent of the steps' probabilities, >= 0.
        beta: discount of popular ends, >= 0.
    """
    has = owned(seen)
    source, end, weight = _joined(walk_edges(has, neighbours, alpha, beta))
    return ItemNeighbours(has, _weights(source, end, weight, seen.n_items), device)


def _joined(parts: Iterable[Edges]) -> Edges:
    """Return the edges of all parts, end to end."""
    item, neighbour, weight = zip(*parts, strict=True)
    return np.concatenate(item), np.concatenate(neighbour), np.concatenate(weight)


def _weights(source: Ints64, target: Ints64, weight: Floats32, n: int) -> csr_array:
    """Return (n, n) float32: row j holds what item j adds to the scores of the others."""
    from scipy.sparse import csr_array

    return csr_array((weight, (source, target)), shape=(n, n), dtype=np.float32)


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
    together = _together(seen)
    if device.type != "mps":  # which lacks float64
        together = together.to(device)
    together.diagonal().add_(regularization)
    inverse = torch.linalg.inv(together)
    weights: Tensor = (inverse / -inverse.diagonal()).fill_diagonal_(0).float()
    return weights.to(device)


def _together(seen: Interactions) -> Tensor:
    """Return the number of users that have both items, for all pairs of items.

    The CPU counts, because sparse products are missing on some devices and take much memory on
    others.

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
        torch.as_tensor(pairs), values, (seen.n_users, n), check_invariants=True
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        together: Tensor = torch.sparse.mm(has.T, has).to_dense()
    return together


BASELINES: Mapping[str, Callable[[Interactions, torch.device], Scorer]] = {
    "popularity": Popularity,
    "itemknn": item_knn,
    "rp3beta": rp3beta,
    "ease": ease,
}
