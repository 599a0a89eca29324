"""Losses over the catalogue as pure functions of tensors.

The trainer has one loss, `softmax_loss`; studies/LOG.md has what was tried instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recsys.models import taken

_LOWEST = torch.finfo(torch.float32).min


@dataclass(frozen=True)
class Targets:
    """The targets and candidates of a softmax of b users over n items, free of the weights.

    Attributes:
        masked: (m,) int64 positions row * n + candidate that are no candidates; must hold no
            target.
        rows: (t,) int64, the user of each target.
        positions: (t,) int64 position row * n + candidate of each target.
        weights: (t,) float32 weight of each target.
        mass: (b, 1) float32, the sum of the weights of each user's targets.
        log_share: (n,) float32, log of the probability of each candidate; None if the candidates
            are the whole catalogue.
        expected: (b, n) float32, weights of candidates as further targets, 0 for those masked; None
            without teachers. `mass` counts them too.
    """

    masked: Tensor
    rows: Tensor
    positions: Tensor
    weights: Tensor
    mass: Tensor
    log_share: Tensor | None = None
    expected: Tensor | None = None


def correct_logits(logits: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Correct logits for the draw of the candidates and mask them, in place.

    Args:
        logits: (b, n) float32, contiguous.
        targets: targets and candidates.

    Returns:
        The corrected logits, viewed as (b * n,), and the logits of the targets, (t,) float32.
    """
    flat, positions = logits.view(-1), targets.positions
    chosen = taken(flat, positions)
    if targets.log_share is not None:  # a target is a candidate with certainty: counts once
        logits.sub_(targets.log_share)
        flat.index_put_((positions,), chosen)
    flat.index_fill_(0, targets.masked, -torch.inf)
    return flat, chosen


class _MaskedSoftmax(torch.autograd.Function):
    """The softmax loss with one (b, n) buffer for logits, exponentials and gradient.

    Autograd would hold three such buffers.
    """

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, bias: Tensor, targets: Targets) -> Tensor:
        rows, positions = targets.rows, targets.positions
        buffer = torch.addmm(bias, users, items.T)  # (b, n) logits
        flat, chosen = correct_logits(buffer, targets)
        highest = buffer.amax(1, keepdim=True)  # (b, 1)
        buffer.sub_(highest)
        expected = targets.expected
        if expected is not None:  # -inf times 0 would be NaN
            falling = (buffer.clamp_min(_LOWEST) * expected).sum()
        total = buffer.exp_().sum(1, keepdim=True)  # (b, 1); now of exponentials
        below = chosen.sub_(taken(highest, rows))  # (t,) logits below the row's highest
        loss = taken(total.log(), rows).sub_(below).mul_(targets.weights).sum()
        if expected is not None:
            loss = loss + (total.log() * expected.sum(1, keepdim=True)).sum() - falling
        ctx.expected = expected
        ctx.save_for_backward(
            users, items, buffer, flat, total, positions, targets.weights, targets.mass
        )
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        users, items, buffer, flat, total, positions, weights, mass = ctx.saved_tensors
        gradient = buffer.mul_(torch.div(mass, total).mul_(grads[0]))
        flat.index_add_(0, positions, weights * grads[0], alpha=-1)
        if ctx.expected is not None:
            gradient.sub_(ctx.expected * grads[0])
        return gradient @ items, gradient.T @ users, gradient.sum(0), None


def softmax_loss(users: Tensor, items: Tensor, bias: Tensor, targets: Targets) -> Tensor:
    """Return the weighted softmax loss of the targets, summed over users.

    A user's loss is the sum over the user's targets j of
    weights_j * -log softmax(users @ items.T + bias)[row_j, target_j]; `expected` weights add such a
    sum over all candidates.

    With a part of the catalogue as candidates, each candidate's exponential counts 1 / share times
    in the denominator, share being the probability that the draw includes the candidate. So the
    denominator equals that of the full softmax in expectation (logQ correction; Bengio and Senecal
    2008). A row's own targets are candidates with certainty, so they count once.

    Args:
        users: (b, dim) float32, already divided by the temperature.
        items: (n, dim) float32, the candidates.
        bias: (n,) float32.
        targets: targets, weights and candidates.

    Returns:
        () float32. May be differentiated once: the backward pass overwrites the logits.

    Cost:
        3 products of b * n * dim, one (b, n) float32 buffer; with `expected` three more.
    """
    result: Tensor = _MaskedSoftmax.apply(  # type: ignore[no-untyped-call]
        users, items, bias, targets
    )
    return result
