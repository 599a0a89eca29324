"""Sorting of rows by user, in time nearly proportional to the number of rows.

Once the rows of each user lie together, all other sorting concerns few rows, which fit the
cache. So a row among 50M costs little more than a row among 1M.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Ints32 = npt.NDArray[np.int32]
Ints64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CHUNK = 1 << 14  # rows at a time; a user with more rows has a chunk alone


def lexsorted(users: Ints32, key: npt.NDArray[Any]) -> Ints64:
    """Return `np.lexsort((key, users))`: rows by user, then by key, then in the given order.

    Args:
        users: (n,) >= 0, in any order.
        key: (n,) numbers.

    Returns:
        (n,) int64 positions.
    """
    order = _grouped(users)
    for start, stop in _chunks(users[order]):
        rows = order[start:stop]
        owner, values = users[rows], key[rows]
        if ((values[1:] < values[:-1]) & (owner[1:] == owner[:-1])).any():
            order[start:stop] = rows[np.lexsort((values, owner))]
    return order


def firsts(users: Ints32, items: Ints32) -> Bools:
    """Return a mask of the first row of each (user, item).

    Args:
        users: (n,) non-decreasing.
        items: (n,) >= 0.

    Returns:
        (n,) bool.
    """
    keep = np.ones(len(users), np.bool_)
    item_bits = int(items.max(initial=0)).bit_length()
    for start, stop in _chunks(users):
        place = np.arange(stop - start, dtype=np.uint64)
        place_bits = int(stop - start - 1).bit_length()
        # User, item and place are packed into 64 bits: at most 14 + 31 + 14, or 0 + 31 + 33 for a
        # user alone. Sorting puts equal pairs side by side, the earliest first.
        owner = np.cumsum(np.diff(users[start:stop], prepend=users[start]) != 0, dtype=np.uint64)
        pair = (owner << np.uint64(item_bits)) | items[start:stop].astype(np.uint64)
        packed = np.sort((pair << np.uint64(place_bits)) | place)
        again = np.flatnonzero(np.diff(packed >> np.uint64(place_bits)) == 0) + 1
        mask = np.uint64((1 << place_bits) - 1)
        keep[start + (packed[again] & mask).astype(np.int64)] = False
    return keep


def _grouped(users: Ints32) -> Ints64:
    """Return `np.argsort(users, kind="stable")`, by sorting numbers instead of positions."""
    if (users[1:] >= users[:-1]).all():
        return np.arange(len(users))
    bits = np.uint64(int(len(users) - 1).bit_length())
    packed = users.astype(np.uint64) << bits
    packed |= np.arange(len(users), dtype=np.uint64)
    packed.sort()
    packed &= np.uint64((1 << int(bits)) - 1)
    return packed.view(np.int64)


def _chunks(users: Ints32) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of runs of whole users, for non-decreasing `users`."""
    ends = np.flatnonzero(np.diff(users)) + 1
    ends = np.append(ends, len(users))
    start = 0
    while start < len(users):
        last = int(np.searchsorted(ends, start + CHUNK, side="right"))
        stop = int(ends[last - 1]) if last else 0
        if stop <= start:  # one user fills more than a chunk
            stop = int(ends[last])
        yield start, stop
        start = stop
