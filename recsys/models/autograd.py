"""Two steps of the towers with hand-written gradients, several times as fast as autograd's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recsys.models.pooling import Pooling


class Pool(torch.autograd.Function):
    """Weighted sums of history items over two tables; the gradients take the prepared transpose."""

    @staticmethod
    def forward(ctx: Any, recent: Tensor, whole: Tensor, pooling: Pooling) -> Tensor:
        """Return the sum of both weighted sums for each user.

        Args:
            ctx: autograd's context.
            recent: (n, dim) table of the recent pool.
            whole: (n, dim) table of the whole pool.
            pooling: the histories of b users, with their transpose.

        Returns:
            (b, dim).
        """
        by_item = pooling.by_item
        if by_item is not None:
            ctx.save_for_backward(by_item.users, by_item.starts, by_item.recent, by_item.whole)
        return _sums(recent, whole, pooling)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the two tables; the other inputs have none.

        Args:
            ctx: autograd's context.
            grads: the gradient of the result, (b, dim).
        """
        # The transpose of a bag of items per user is a bag of users per item.
        users, starts, *weights = ctx.saved_tensors
        recent, whole = (_bags(users, grads[0], starts, weight) for weight in weights)
        return recent, whole, None


def unit_rows(rows: Tensor) -> Tensor:
    """Return rows (n, dim) scaled to length 1; a zero row stays zero."""
    if not torch.is_grad_enabled():
        return _unit(rows)[0]
    result: Tensor = UnitRows.apply(rows)  # type: ignore[no-untyped-call]
    return result


def pooled(recent: Tensor, whole: Tensor, pooling: Pooling) -> Tensor:
    """Return the sum of both pools for each user, (b, dim).

    Args:
        recent: (n, dim) table of the recent pool.
        whole: (n, dim) table of the whole pool; may be the same.
        pooling: the histories of b users.
    """
    if pooling.by_item is None:
        return _sums(recent, whole, pooling)
    result: Tensor = Pool.apply(recent, whole, pooling)  # type: ignore[no-untyped-call]
    return result


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
        unit, length = _unit(rows)
        ctx.save_for_backward(unit.detach(), length)
        return unit

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Return the gradient of the rows: the part across each row, divided by its length.

        Args:
            ctx: autograd's context.
            grads: the gradient of the result, (n, dim).
        """
        unit, length = ctx.saved_tensors
        along = torch.mul(grads[0], unit).sum(1, keepdim=True)
        across: Tensor = torch.addcmul(grads[0], unit, along, value=-1) / length
        return across


def _unit(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows (n, dim) scaled to length 1 and their lengths (n, 1); infinite for zero rows."""
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    torch.threshold_(length, 1e-12, torch.inf)
    return rows / length, length


def _sums(recent: Tensor, whole: Tensor, pooling: Pooling) -> Tensor:
    """Return the sum of both pools for each user, (b, dim)."""
    items, starts = pooling.items, pooling.starts
    return _bags(items, recent, starts, pooling.recent) + _bags(items, whole, starts, pooling.whole)


def _bags(rows: Tensor, table: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    return functional.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)
