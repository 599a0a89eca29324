"""Two steps of the towers with hand-written gradients, several times as fast as autograd's."""

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
        """Return for each user the weighted sum of rows of `recent` plus that of rows of `whole`.

        Args:
            ctx: autograd's context.
            recent, whole: (n, dim) tables of item embeddings.
            weights: (2, h), the weight of each history item in each table.
            items: (h,) int64 history items, end to end.
            starts: (b,) int64, start of each user's items.
            owner: (h,) int64, the user of each history item.

        Returns:
            (b, dim).
        """
        ctx.save_for_backward(weights, items, owner)
        ctx.n_items = len(recent)
        return _bags(items, recent, starts, weights[0]) + _bags(items, whole, starts, weights[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the two tables; the other inputs have none.

        Args:
            ctx: autograd's context.
            grads: the gradient of the result, (b, dim).
        """
        weights, items, owner = ctx.saved_tensors
        # The transpose of a bag of items per user is a bag of users per item.
        order = torch.argsort(items)
        counts = torch.bincount(items, minlength=ctx.n_items)
        starts, users, weights = torch.cumsum(counts, 0) - counts, owner[order], weights[:, order]
        recent, whole = (_bags(users, grads[0], starts, weight) for weight in weights)
        return recent, whole, None, None, None, None


class UnitRows(torch.autograd.Function):
    """Rows scaled to length 1, with 4 passes over the table instead of autograd's dozen.

    A zero row stays zero and gets no gradient, because it has no direction to turn from.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        """Return the rows scaled to length 1.

        Args:
            ctx: autograd's context.
            rows: (n, dim).
        """
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        length.masked_fill_(length < 1e-12, torch.inf)
        unit: Tensor = rows / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Return the gradient of the rows: the part across each row, divided by its length.

        Args:
            ctx: autograd's context.
            grads: the gradient of the result, (n, dim).
        """
        unit, length = ctx.saved_tensors
        along = torch.linalg.vecdot(grads[0], unit)[:, None]
        across: Tensor = torch.addcmul(grads[0], unit, along, value=-1) / length
        return across


def _bags(rows: Tensor, table: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    return functional.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)
