"""Positions in ragged arrays: rows of different lengths, stored end to end."""

from __future__ import annotations

import numpy as np

from recsys.data.features import Ints64


def spans(offsets: Ints64, which: Ints64) -> tuple[Ints64, Ints64]:
    """Return the positions of all elements of some rows, end to end.

    Args:
        offsets: (n + 1,); row i lies at offsets[i]..offsets[i + 1] - 1.
        which: (b,) numbers of rows, in any order.

    Returns:
        ((h,) int64 index into `which`, (h,) int64 position).
    """
    return ranges(offsets[which], offsets[which + 1] - offsets[which])


def ranges(starts: Ints64, lengths: Ints64) -> tuple[Ints64, Ints64]:
    """Return all positions of b ranges, end to end.

    Args:
        starts: (b,) first position of each range.
        lengths: (b,) number of positions of each range.

    Returns:
        ((h,) int64 which of the b ranges, (h,) int64 position).
    """
    owner = np.repeat(np.arange(len(lengths)), lengths)
    first = np.cumsum(lengths) - lengths
    return owner, np.repeat(starts - first, lengths) + np.arange(len(owner))
