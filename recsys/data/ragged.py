"""Rows of different lengths, end to end: where some of them lie."""

from __future__ import annotations

import numpy as np

from recsys.data.interactions import Ints64


def spans(offsets: Ints64, which: Ints64) -> tuple[Ints64, Ints64]:
    """All places of some rows, end to end.

    Args:
        offsets: (n + 1,); row i lies at offsets[i]..offsets[i + 1] - 1.
        which: (b,) numbers of rows, any order.

    Returns:
        ((h,) int64 which of the b rows, (h,) int64 place).
    """
    ends = offsets[which + 1]
    lengths = ends - offsets[which]
    owner = np.repeat(np.arange(len(which)), lengths)
    return owner, (ends - np.cumsum(lengths))[owner] + np.arange(len(owner))
