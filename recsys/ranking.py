"""Where the relevant items stand among all candidates. Exact, in chunks, without a sort.

A few relevant items stand near the top, and only for those it matters how near. So the best
blocks of each row give a bar that k + 1 items reach; what stays below it is far away, and what
reaches it is counted within these blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.topk import best_blocks, candidates

_SIZES = (128, 32)  # of blocks: the first that leaves three times as many as are looked at
_PAIRS = 1024  # relevant items looked at in one go: some 10 MB of candidates


def ranks(scores: Tensor, rows: Tensor, items: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Ranks of relevant items; rank = how many candidates score at least as high (itself too).

    So every tie counts against the relevant item.

    Args:
        scores: (b, n) float32, contiguous, -inf where an item is no candidate; overwritten.
        rows, items: (r,) int64, the relevant items; every row has at least one.
        k: up to where ranks are wanted.

    Returns:
        ((r,) int64 rank, k + 1 for everything beyond k; (b,) int64 exact best rank of each row).

    Raises:
        AssertionError: a relevant item is no candidate.
    """
    relevant = scores.view(-1)[rows * scores.shape[1] + items]  # (r,)
    if torch.isneginf(relevant).any():
        raise AssertionError("an item is in a user's history and in the question")
    highest = torch.full_like(scores[:, 0], -torch.inf).scatter_reduce_(0, rows, relevant, "amax")
    rank = _ranks_up_to(scores, rows, relevant, k)
    # As numbers 0 and 1 in place, because sums of booleans are several times slower. A float32
    # counts to 16 million without loss.
    best = scores.ge_(highest[:, None]).sum(1).long()
    return rank, best


def _ranks_up_to(scores: Tensor, rows: Tensor, relevant: Tensor, k: int) -> Tensor:
    """(r,) int64: exact up to k, else k + 1."""
    n = scores.shape[1]
    size = next((size for size in _SIZES if n >= 3 * size * (k + 1)), None)
    if size is None:
        top = torch.topk(scores, min(k + 1, n), dim=1).values
        return (top[rows] >= relevant[:, None]).sum(1)
    maxima, chosen = best_blocks(scores, k + 1, size)
    rank = torch.full_like(rows, k + 1)
    for near in torch.nonzero(relevant >= maxima.amin(1)[rows]).flatten().split(_PAIRS):
        row = rows[near]
        inside = candidates(scores, row, chosen[row], size)
        count = inside.ge_(relevant[near, None]).sum(1).long()
        rank[near] = count.clamp_max_(k + 1)
    return rank
