"""The two pools of the user tower: how much each history item counts, and for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.models.histories import History


@dataclass(frozen=True)
class ByItem:
    """The transpose of a pooling: for each of n table rows, the users whose history has it.

    Attributes:
        users: (h,) int64, end to end by table row.
        starts: (n,) int64; the users of row i are users[starts[i]:starts[i + 1]].
        recent: (h,) float32, the weights of the recent pool in the order of `users`.
        whole: (h,) float32, likewise of the whole pool.
    """

    users: Tensor
    starts: Tensor
    recent: Tensor
    whole: Tensor


@dataclass(frozen=True)
class Pooling:
    """Weighted sums of table rows over the histories of b users.

    Attributes:
        items: (h,) int64 table rows, end to end by user.
        starts: (b,) int64; the rows of user i are items[starts[i]:starts[i + 1]].
        recent: (h,) float32 weights of the recent pool.
        whole: (h,) float32 weights of the whole pool.
        by_item: the transpose, which gradients are computed from; None where none are wanted.
    """

    items: Tensor
    starts: Tensor
    recent: Tensor
    whole: Tensor
    by_item: ByItem | None = None


def pool_weights(
    history: History,
    config: TrainConfig,
    *,
    ordered: bool,
    keep: Tensor | None = None,
    batches: Sequence[int] | None = None,
) -> Tensor:
    """Return the weights (2, h) float32 of history items in the recent and in the whole pool.

    Args:
        history: histories of b users.
        config: the shape of the pools.
        ordered: False if every age counts as 0.
        keep: (h,) float32, 1 for history items that survive dropout, else 0; None: all survive.
        batches: numbers of users that make up b, one for each training batch; None: one batch.
    """
    whole = torch.ones_like(history.ages) if keep is None else keep
    recent = torch.exp(history.ages / -config.recency) if ordered else whole
    if ordered and keep is not None:
        recent = recent * keep
    weights = torch.stack([recent, whole])
    empty = torch.zeros(2, len(history.lengths), device=weights.device)
    total, n_kept = empty.index_add_(1, history.owner, weights)
    power = _power(n_kept.clamp_min(1), -config.history_power, batches)
    scale = torch.stack([total.clamp_min(1e-6).reciprocal(), config.mix * power])
    return weights * scale[:, history.owner]


def _power(values: Tensor, exponent: float, batches: Sequence[int] | None) -> Tensor:
    """Return values ** exponent, computed batch by batch.

    On a CPU the last elements of a tensor take another `pow` than those before them, which differs
    in the last bit. Batches of their own keep a training's numbers whatever is computed together.
    """
    if batches is None or len(batches) == 1:
        return values.pow(exponent)
    return torch.cat([part.pow(exponent) for part in values.split(list(batches))])
