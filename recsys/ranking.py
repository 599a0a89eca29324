"""Where the relevant items stand among all candidates. Exact, in chunks, without a full sort."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.topk import top_values


def ranks(scores: Tensor, rows: Tensor, items: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Ranks of relevant items; rank = how many candidates score at least as high (itself too).

    So every tie counts against the relevant item.

    Args:
        scores: (b, n) float32, -inf where an item is no candidate.
        rows, items: (r,) int64, the relevant items; every row has at least one.
        k: up to where ranks are wanted.

    Returns:
        ((r,) int64 rank, k + 1 for everything beyond k; (b,) int64 exact best rank of each row).
    """
    relevant = scores[rows, items]  # (r,)
    top = top_values(scores, k + 1)  # (b, <= k + 1)
    rank = (top[rows] >= relevant[:, None]).sum(1)
    rank.clamp_max_(k + 1)
    highest = torch.full_like(scores[:, 0], -torch.inf).scatter_reduce_(0, rows, relevant, "amax")
    best = torch.full_like(rows, k + 1)[: len(scores)].new_full((len(scores),), k + 1)
    best.scatter_reduce_(0, rows, rank, "amin")
    beyond = torch.nonzero(best > k).flatten()
    best[beyond] = (scores[beyond] >= highest[beyond, None]).sum(1)
    return rank, best
