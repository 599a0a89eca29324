"""The two pools of the user tower: how much each history item counts, and for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.models.history import History


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
) -> tuple[Tensor, Tensor]:
    """Return the weights of history items in the recent and in the whole pool, each (h,) float32.

    Args:
        history: histories of b users.
        config: the shape of the pools.
        ordered: False if every age counts as 0.
        keep: (h,) float32, 1 for history items that survive dropout, else 0; None: all survive.
        batches: numbers of users that make up b, one for each training batch; None: one batch.
    """
    owner, n = history.owner, len(history.lengths)
    n_kept = history.lengths.float() if keep is None else _sums(keep, owner, n)
    power = _power(n_kept.clamp_min(1), -config.history_power, batches)
    whole = _kept((config.mix * power)[owner], keep)
    if not ordered:
        return _kept(n_kept.clamp_min(1e-6).reciprocal()[owner], keep), whole
    recent = _kept(torch.exp(history.ages / -config.recency), keep)
    return recent * _sums(recent, owner, n).clamp_min(1e-6).reciprocal()[owner], whole


def _kept(weights: Tensor, keep: Tensor | None) -> Tensor:
    """Return the weights (h,) of history items, 0 for those that dropout leaves out."""
    return weights if keep is None else weights * keep


def _sums(weights: Tensor, owner: Tensor, n: int) -> Tensor:
    """Return the sum of the weights (h,) of each of n users."""
    return torch.zeros(n, device=weights.device).index_add_(0, owner, weights)


def _power(values: Tensor, exponent: float, batches: Sequence[int] | None) -> Tensor:
    """Return values ** exponent, computed batch by batch.

    On a CPU the last elements of a tensor take another `pow` than those before them, which differs
    in the last bit. Batches of their own keep a training's numbers whatever is computed together.
    """
    if batches is None or len(batches) == 1:
        return values.pow(exponent)
    return torch.cat([part.pow(exponent) for part in values.split(list(batches))])
