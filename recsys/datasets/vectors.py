"""Dense vectors of items from elsewhere, such as embeddings of texts or images."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.data import Floats32
from recsys.errors import DataError

WIDEST = 4096  # numbers of a vector


def as_vectors(column: pl.Series) -> Floats32:
    """Return the vectors of a column, centred and scaled to a mean squared length of 1.

    A bag of feature codes has that length, too, so vectors and categories count alike from the
    start. Items without a vector get zeros, which say nothing.

    Args:
        column: (n,) lists of numbers of one length; null where a row has no vector.

    Returns:
        (n, w) float32.

    Raises:
        DataError: the cells are no vectors, or all are the same. Cells are not shown.
    """
    if not isinstance(column.dtype, pl.List | pl.Array):
        raise DataError(f"is of type {column.dtype}, not lists of numbers; leave :vector out")
    lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
    has = lists.is_not_null().to_numpy()
    filled = lists.drop_nulls()
    widths = filled.list.len().unique().sort().to_list()
    if len(widths) != 1 or not 2 <= widths[0] <= WIDEST:
        lengths = ", ".join(f"{width:,}" for width in widths[:5]) or "none"
        raise DataError(
            f"its vectors have lengths {lengths}; give vectors of one length from 2 to {WIDEST:,}, "
            "and null for items without one"
        )
    numbers = filled.explode().cast(pl.Float64, strict=False).to_numpy()
    values = numbers.reshape(len(filled), widths[0])
    bad = ~np.isfinite(values).all(1)
    if bad.any():
        raise DataError(
            f"{int(bad.sum()):,} of {len(values):,} vectors hold something that is no finite "
            "number; give numbers, and null for items without a vector"
        )
    values = values - values.mean(0)
    length = np.sqrt(np.square(values).sum(1).mean())
    if not length > 0:
        raise DataError("all items have the same vector, so it teaches nothing; leave it out")
    found = np.zeros((len(column), widths[0]), np.float32)
    found[has] = values / length
    return found
