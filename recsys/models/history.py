"""Users' histories as ragged arrays: the input of every scorer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class History:
    """Item histories of b users, end to end, oldest first.

    Attributes:
        items: (h,) int64.
        starts: (b,) int64; user i's items are items[starts[i]:starts[i + 1]].
        ages: (h,) float32; 0 for a user's newest item, then 1, 2, ...
        lengths: (b,) int64; may be 0.
    """

    items: Tensor
    starts: Tensor
    ages: Tensor
    lengths: Tensor


def device_ranges(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return all positions of b ranges, end to end.

    Args:
        starts: (b,) int64, first position of each range.
        lengths: (b,) int64, number of positions of each range.

    Returns:
        (owner (h,), the range of each position; position (h,)), both int64.
    """
    owner = torch.repeat_interleave(lengths)
    shift = starts + lengths - torch.cumsum(lengths, 0)
    return owner, shift[owner] + torch.arange(len(owner), device=owner.device)


def histories(items: Tensor, starts: Tensor, lengths: Tensor) -> tuple[History, Tensor]:
    """Cut b histories out of flat items.

    Args:
        items: (n,) int64, items of all users end to end.
        starts: (b,) int64, position of each history's oldest item.
        lengths: (b,) int64, number of items of each history.

    Returns:
        (the histories, (h,) int64 owner of each history item).
    """
    owner, position = device_ranges(starts, lengths)
    ages = (starts + lengths - 1)[owner] - position
    first = torch.cumsum(lengths, 0) - lengths
    return History(items[position], first, ages.float(), lengths), owner
