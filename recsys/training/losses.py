"""Losses over the catalogue as pure functions of tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _MaskedSoftmax(torch.autograd.Function):
    """The softmax loss with one (b, n) buffer for logits, exponentials and gradient.

    Autograd would hold three such buffers.
    """

    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        bias: Tensor,
        masked: Tensor,
        rows: Tensor,
        targets: Tensor,
        weights: Tensor,
        log_share: Tensor | None,
    ) -> Tensor:
        buffer = torch.addmm(bias, users, items.T)  # (b, n) logits
        flat = buffer.view(-1)
        position = rows * buffer.shape[1] + targets
        chosen = flat[position]  # (t,)
        if log_share is not None:  # a target is a candidate with certainty, so it counts once
            buffer.sub_(log_share)
            flat.index_put_((position,), chosen)
        flat.index_fill_(0, masked, -torch.inf)
        highest = buffer.amax(1, keepdim=True)  # (b, 1)
        total = buffer.sub_(highest).exp_().sum(1)  # (b,); the buffer now holds exponentials
        loss = (weights * (total.log()[rows] - (chosen - highest[rows, 0]))).sum() / len(users)
        ctx.save_for_backward(users, items, buffer, total, rows, position, weights)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        users, items, buffer, total, rows, position, weights = ctx.saved_tensors
        scale = grads[0] / len(users)
        mass = torch.zeros_like(total).index_add_(0, rows, weights)  # (b,)
        gradient = buffer.mul_((mass / total * scale)[:, None])
        gradient.view(-1).index_add_(0, position, weights * -scale)
        return gradient @ items, gradient.T @ users, gradient.sum(0), *[None] * 5


def softmax_loss(
    users: Tensor,
    items: Tensor,
    bias: Tensor,
    masked: Tensor,
    rows: Tensor,
    targets: Tensor,
    weights: Tensor,
    log_share: Tensor | None = None,
) -> Tensor:
    """Return the weighted softmax loss of the targets, as a mean over users.

    A user's loss is the sum over the user's targets j of
    weights_j * -log softmax(users @ items.T + bias)[row_j, target_j].

    With a part of the catalogue as candidates, each candidate's exponential counts 1 / share times
    in the denominator, share being the probability that the draw includes the candidate. So the
    denominator equals that of the full softmax in expectation (logQ correction; Bengio and Senecal
    2008). A row's own targets are candidates with certainty, so they count once.

    Args:
        users: (b, dim) float32, already divided by the temperature.
        items: (n, dim) float32, the candidates.
        bias: (n,) float32.
        masked: (m,) int64 positions row * n + item that are no candidates; must hold no target.
        rows: (t,) int64, the user of each target.
        targets: (t,) int64, the candidate that each target is.
        weights: (t,) float32.
        log_share: (n,) float32, log of the probability of each candidate; None if the candidates
            are the whole catalogue.

    Returns:
        () float32. May be differentiated once: the backward pass overwrites the logits.

    Cost:
        3 products of b * n * dim, one (b, n) float32 buffer.
    """
    result: Tensor = _MaskedSoftmax.apply(  # type: ignore[no-untyped-call]
        users, items, bias, masked, rows, targets, weights, log_share
    )
    return result
