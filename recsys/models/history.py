"""Users' histories as ragged arrays: the input of every scorer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.data import Ints32, Ints64, spans
from recsys.models.transfer import to_device

NEWEST = 10  # neighbours of so many newest items gain scores, if histories have an order


@dataclass(frozen=True)
class Newest:
    """The NEWEST newest items of each history, end to end.

    Attributes:
        owner: (m,) int64, which of the b users each item belongs to.
        items: (m,) int64.
        ages: (m,) float32.
    """

    owner: Tensor
    items: Tensor
    ages: Tensor


@dataclass(frozen=True)
class History:
    """Item histories of b users, end to end, oldest first.

    Attributes:
        items: (h,) int64.
        starts: (b,) int64; user i's items are items[starts[i]:starts[i + 1]].
        ages: (h,) float32; 0 for a user's newest item, then 1, 2, ...
        lengths: (b,) int64; may be 0.
        owner: (h,) int64, which of the b users each item belongs to.
        newest: the newest of the items; None if they have not been picked out, see `newest_of`.
    """

    items: Tensor
    starts: Tensor
    ages: Tensor
    lengths: Tensor
    owner: Tensor
    newest: Newest | None = None


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


def histories(items: Tensor, starts: Tensor, lengths: Tensor) -> History:
    """Return b histories cut out of flat items.

    Args:
        items: (n,) int64, items of all users end to end.
        starts: (b,) int64, position of each history's oldest item.
        lengths: (b,) int64, number of items of each history.
    """
    owner, position = device_ranges(starts, lengths)
    ages = (starts + lengths - 1)[owner] - position
    first = torch.cumsum(lengths, 0) - lengths
    return History(items[position], first, ages.float(), lengths, owner)


def newest_of(history: History) -> Newest:
    """Return the newest items of each history; a device has to finish before the host goes on."""
    newest = torch.nonzero(history.ages < NEWEST).flatten()
    return Newest(history.owner[newest], history.items[newest], history.ages[newest])


def gathered(items: Ints32, offsets: Ints64, users: Ints64, device: torch.device) -> History:
    """Return whole histories on the device, gathered by the host, so that no size is asked for.

    Args:
        items: items of all users, end to end.
        offsets: (n_users + 1,); user u's items are items[offsets[u]:offsets[u + 1]].
        users: (b,) positions in the vocabulary.
        device: device of the result.
    """
    starts, lengths = offsets[users], offsets[users + 1] - offsets[users]
    owner, position = spans(offsets, users)
    ages = (np.repeat(starts + lengths - 1, lengths) - position).astype(np.float32)
    theirs, new = items[position].astype(np.int64), ages < NEWEST
    first = np.cumsum(lengths) - lengths
    newest = (to_device(each[new], device) for each in (owner, theirs, ages))
    return History(
        items=to_device(theirs, device),
        starts=to_device(first, device),
        ages=to_device(ages, device),
        lengths=to_device(lengths, device),
        owner=to_device(owner, device),
        newest=Newest(*newest),
    )
