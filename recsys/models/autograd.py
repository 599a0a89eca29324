"""Two steps of the towers with gradients of their own: autograd's take several times as long."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Pool(torch.autograd.Function):
    """Weighted sums of history items over two tables; the backward pass sorts the items once."""

    @staticmethod
    def forward(
        ctx: Any,
        recent: Tensor,
        whole: Tensor,
        weights: Tensor,
        items: Tensor,
        starts: Tensor,
        owner: Tensor,
    ) -> Tensor:
        """(b, dim) from tables (n, dim), weights (2, h), items (h,), starts (b,), owner (h,)."""
        ctx.save_for_backward(weights, items, owner)
        ctx.n_items = len(recent)
        return _bags(items, recent, starts, weights[0]) + _bags(items, whole, starts, weights[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weights, items, owner = ctx.saved_tensors
        # The transpose of a bag of items per user is a bag of users per item.
        order = torch.argsort(items)
        counts = torch.bincount(items, minlength=ctx.n_items)
        starts, users, weights = torch.cumsum(counts, 0) - counts, owner[order], weights[:, order]
        recent, whole = (_bags(users, grads[0], starts, weight) for weight in weights)
        return recent, whole, None, None, None, None


class UnitRows(torch.autograd.Function):
    """Rows of length 1. Autograd's own chain walks the table a dozen times, this one four.

    A zero row stays zero and gets no gradient: it has no direction to be turned from.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        length.masked_fill_(length < 1e-12, torch.inf)
        unit: Tensor = rows / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        unit, length = ctx.saved_tensors
        along = torch.linalg.vecdot(grads[0], unit)[:, None]
        across: Tensor = torch.addcmul(grads[0], unit, along, value=-1) / length
        return across


def _bags(rows: Tensor, table: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    return functional.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)
