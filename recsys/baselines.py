"""The lines to beat: popularity, and two item-to-item models that know no order.

All are Scorers, so `recsys.evaluation.Evaluator` measures them as it measures the towers.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from recsys.errors import DataError
from recsys.interactions import Interactions
from recsys.windows import ranges

MAX_ITEMS = 10_000  # item-to-item matrices are dense: 0.8 GB in float64


class Popularity:
    """Every user gets the items with the most rows in `seen`, whatever the rows weigh.

    Ties score equally, and a tie never favours the relevant item (see `recsys.ranking`).
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


def item_knn(seen: Interactions, device: torch.device, neighbours: int = 100) -> ItemToItem:
    """Cosine between the items' sets of users; each item keeps its nearest neighbours.

    Raises:
        DataError: more than 10,000 items.
    """
    together = _together(seen, device)
    norm = together.diagonal().clamp_min(1).sqrt()
    similarity = (together / norm / norm[:, None]).fill_diagonal_(0).float()
    best = torch.topk(similarity, min(neighbours, len(similarity)), dim=0)
    return ItemToItem(seen, torch.zeros_like(similarity).scatter_(0, best.indices, best.values))


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
        raise DataError(f"{n:,} items are too many for an item-to-item baseline: {MAX_ITEMS:,}")
    pairs = np.unique(np.stack([seen.users, seen.items]).astype(np.int64), axis=1)
    values = torch.ones(pairs.shape[1], dtype=torch.float64)
    has = torch.sparse_coo_tensor(
        torch.as_tensor(pairs), values, (seen.n_users, n), device=device, check_invariants=True
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        together: Tensor = torch.sparse.mm(has.T, has).to_dense()
    return together
