"""Exact top items and ranks of score rows, without a full sort. In ranks, ties count against.

The k largest scores of a row lie in the k blocks with the largest maxima, so only those blocks
are read a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.data import Ints64
from recsys.models import taken, to_device

BLOCK = 128  # items of one block
DIRECT = 4096  # below this catalogue size one torch.topk is faster


def top_items(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest values of each row, descending, and their columns.

    Equal values may come in any order.

    Measured on one core: 0.16 ms for a row of a million, where torch.topk takes 2.5 ms.

    Args:
        scores: (b, n) float32.
        k: at least 1.

    Returns:
        ((b, min(k, n)) float32 values, (b, min(k, n)) int64 columns).
    """
    n = scores.shape[1]
    if n < max(DIRECT, BLOCK * k):
        direct = torch.topk(scores, min(k, n), dim=1)
        return direct.values, direct.indices
    _, chosen = best_blocks(scores, k, BLOCK)
    best = torch.topk(block_scores(scores, torch.arange(len(scores)), chosen, BLOCK), k, dim=1)
    return best.values, _columns(best.indices, chosen, BLOCK, n)


def best_blocks(scores: Tensor, k: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the k largest block maxima of each row, in any order, and their block numbers.

    Columns at the end of a row that fill no whole block are ignored.

    Args:
        scores: (b, n) float32, n >= k * size.
        k: blocks per row.
        size: columns of a block.

    Returns:
        ((b, k) float32 maxima, (b, k) int64 block numbers).
    """
    maxima = _blocks(scores, size).amax(2)  # (b, n // size)
    best = torch.topk(maxima, k, dim=1, sorted=False)
    return best.values, best.indices


def block_scores(scores: Tensor, rows: Tensor, chosen: Tensor, size: int) -> Tensor:
    """Return the scores in the chosen blocks of some rows, then the last n % size columns.

    Args:
        scores: (b, n) float32.
        rows: (r,) int64, the rows to read.
        chosen: (r, k) int64, block numbers.
        size: columns of a block.

    Returns:
        (r, k * size + n % size) float32.
    """
    blocks = _blocks(scores, size)
    inside = blocks[rows.to(scores.device)[:, None], chosen].flatten(1)
    rest = blocks.shape[1] * size
    return torch.cat([inside, scores[rows.to(scores.device), rest:]], 1)


def _columns(places: Tensor, chosen: Tensor, size: int, n: int) -> Tensor:
    """Return the columns among n of places (b, j) in what `block_scores` returned.

    Args:
        places: (b, j) int64 columns of [r blocks | rest].
        chosen: (b, r) int64, the block numbers.
        size: columns of a block.
        n: columns of the whole rows.
    """
    read = chosen.shape[1]
    block = chosen.gather(1, (places // size).clamp_max(read - 1))
    inside, rest = block * size + places % size, places - read * size + n - n % size
    return torch.where(places < read * size, inside, rest)


def _blocks(scores: Tensor, size: int) -> Tensor:
    """Return the whole blocks of each row as a view, (b, n // size, size)."""
    whole = scores.shape[1] - scores.shape[1] % size
    blocks: Tensor = scores[:, :whole].unflatten(1, (-1, size))
    return blocks


_SIZES = (128, 32)  # block sizes: the first with which a row has three times the blocks it reads


class Ranks(NamedTuple):
    """The ranks of relevant items in b rows, and the best candidates of these rows.

    Attributes:
        rank: (r, 1) int64, k + 1 for every rank beyond k. It has no meaning for an item that is no
            candidate, nor in a row with NaN, whose first value is NaN.
        relevant: (r, 1) float32, the scores of the relevant items; -inf: no candidate.
        best: (b,) float32, exact best rank of each row.
        values: (b, min(k + 1, n)) float32, the highest scores, descending; -inf: no candidate.
        columns: () -> (b, min(k + 1, n)) int64 columns of `values`, equal values in any order.
    """

    rank: Tensor
    relevant: Tensor
    best: Tensor
    values: Tensor
    columns: Callable[[], Tensor]


def ranks(scores: Tensor, owner: Ints64, items: Ints64, k: int) -> Ranks:
    """Return the ranks of relevant items among the candidates of their rows.

    The rank is the number of candidates that score at least as high, the item itself included,
    so every tie counts against the relevant item.

    Args:
        scores: (b, n) float32, contiguous, -inf where an item is no candidate; overwritten.
        owner: (r,) on the host, the row of each relevant item; every row has at least one.
        items: (r,) on the host, the column of each relevant item.
        k: largest rank to compute exactly.
    """
    rows = to_device(owner, scores.device)
    position = owner * scores.shape[1] + items
    relevant = taken(scores, to_device(position[:, None], scores.device))  # (r, 1)
    highest = scores.new_full((len(scores), 1), -torch.inf)
    highest.scatter_reduce_(0, to_device(owner[:, None], scores.device), relevant, "amax")
    values, columns = _top(scores, k + 1)
    rank = (values[rows] >= relevant).sum(1, keepdim=True)
    # Compare in place to floats 0 and 1, because sums of booleans are several times slower. A
    # float32 counts to 16 million without loss.
    best = scores.ge_(highest).sum(1)
    return Ranks(rank, relevant, best, values, columns)


def _top(scores: Tensor, k: int) -> tuple[Tensor, Callable[[], Tensor]]:
    """Return the k highest scores of each row, descending, and a function of their columns."""
    n = scores.shape[1]
    size = next((size for size in _SIZES if n >= 3 * size * k), None)
    if size is None:
        top = torch.topk(scores, min(k, n), dim=1)
        return top.values, lambda: top.indices
    _, chosen = best_blocks(scores, k, size)  # the k highest scores lie in these blocks
    everyone = torch.arange(len(scores), device=scores.device)
    top = torch.topk(block_scores(scores, everyone, chosen, size), k, dim=1)
    return top.values, lambda: _columns(top.indices, chosen, size, n)
