"""Encoding of one column of a user or item table: the meaning of its cells, and the codes used.

    kind        cells                                             codes
    category    Drama                                             one each
    list        a|b|c, a;b;c, a, b, c or a b c; lists in files    one for each part
    words       RED SPOTTY CUP, of ceramic (never guessed)        one for each word
    number      17, 3.5, 2024-01-31                               one of `BUCKETS` quantiles
    vector      lists of numbers of one length in Parquet         none: projected, see vectors.py

An empty cell has no code. A value found in one row only has no code either: it tells no more
than the row's own embedding, and it may be somebody's name.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data import Ints32
from recsys.readers import NO_ID

Kind = Literal["category", "list", "words", "number", "vector"]

BUCKETS = 20
# Most different values of whole numbers that count as categories: stars, sizes, yes and no.
FEW = 20
# Codes of one column. The most frequent words get half of them, one each; other words share the
# rest.
LIMIT = 20_000
_SEPARATORS = ("|", ";", ",", " ")
_WORD = r"[\p{L}\p{N}]{2,}"  # of two letters or digits at least: no initials, no apostrophe's s
_COMMON = 0.1  # share of the filled cells that makes a bar a separator
_NUMBERS = 0.95  # share of the filled cells; "unknown" among years leaves a column of numbers


@dataclass(frozen=True, eq=False)
class Coded:
    """One column as (row, code) pairs without repeats.

    Attributes:
        rows, codes: (m,) int32.
        size: number of codes; codes are 0..size - 1.
        unshared: share of the filled rows with only values that no other row has.
    """

    rows: Ints32
    codes: Ints32
    size: int
    unshared: float


def guess_kind(column: pl.Series) -> Kind:
    """Return the kind by which a column is encoded if its user names none.

    Users name a kind as in "genres:list" or "brand:category".
    """
    if isinstance(column.dtype, pl.List | pl.Array):
        return "vector" if column.dtype.inner.is_float() else "list"
    if column.dtype.is_temporal() or column.dtype.is_float():
        return "number"
    if column.dtype.is_integer():
        is_key = column.name.casefold().endswith(("id", "code", "type"))
        return "category" if is_key or column.n_unique() <= FEW else "number"
    filled = column.drop_nulls()
    # A column without a filled cell may be of any type, even of none (pl.Null).
    if column.dtype in (pl.Boolean, pl.Categorical, pl.Enum) or not filled.len():
        return "category"
    number = as_number(column)
    if number.count() >= _NUMBERS * filled.len():
        return "category" if number.n_unique() <= FEW else "number"
    return "list" if _separator(filled) else "category"


def is_prose(column: pl.Series) -> bool:
    """Return True if the parts of these cells are separated by commas or blanks.

    The parts of a person's name are separated in the same way.
    """
    if column.dtype != pl.String:
        return False
    filled = column.drop_nulls()
    return (_separator(filled) or _any_mark(filled)) in {",", " "}


def encode(column: pl.Series, kind: Kind) -> Coded:
    """Encode the cells of a column.

    Args:
        column: (n,) cells; the position is the row.
        kind: meaning of the cells.
    """
    long = _long(column, kind).unique(maintain_order=True)
    counts = long.group_by("value").len().filter(pl.col("len") > 1)
    # By frequency, ties by value, so that codes do not depend on the order of the table.
    words = counts.sort("len", "value", descending=[True, False])["value"]
    known = pl.DataFrame(
        {"value": words, "code": _codes(words)}, schema_overrides={"code": pl.Int32}
    )
    pairs = long.join(known, on="value", maintain_order="left").select("row", "code").unique()
    filled = long["row"].n_unique()
    unshared = 1 - pairs["row"].n_unique() / filled if filled else 1.0
    size = min(len(words), LIMIT)
    return Coded(pairs["row"].to_numpy(), pairs["code"].to_numpy(), size, unshared)


def as_number(column: pl.Series) -> pl.Series:
    """Return (n,) Float64, null for each cell that is neither a finite number nor a date."""
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        days = column.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).to_physical()
        plain = column.str.strip_chars().cast(pl.Float64, strict=False)
        column = plain.fill_null(days.cast(pl.Float64))
    elif column.dtype.is_temporal():
        column = column.to_physical()
    number = column.cast(pl.Float64, strict=False)
    return number.set(~number.is_finite(), None)


def _long(column: pl.Series, kind: Kind) -> pl.DataFrame:
    """Return a frame with a line for each value of each row, without empty values.

    Returns:
        Columns `row` (Int32) and `value` (text, lower case).
    """
    values = _typed_values(column, kind)
    frame = pl.DataFrame({"row": np.arange(len(values), dtype=np.int32), "value": values})
    if isinstance(values.dtype, pl.List):
        frame = frame.explode("value")
    text = pl.col("value").cast(pl.String).str.strip_chars().str.to_lowercase()
    return frame.select("row", value=text).filter(
        pl.col("value").is_not_null() & ~pl.col("value").is_in(list(NO_ID))
    )


def _typed_values(column: pl.Series, kind: Kind) -> pl.Series:
    if kind == "number":
        number = as_number(column)
        if not number.count():
            return number
        edges = np.quantile(number.drop_nulls().to_numpy(), np.arange(1, BUCKETS) / BUCKETS)
        bucket = np.searchsorted(np.unique(edges), number.fill_null(0).to_numpy(), side="right")
        return pl.Series(bucket).set(number.is_null(), None)
    if kind == "list" and column.dtype == pl.String:
        filled = column.drop_nulls()
        return column.str.split(_separator(filled) or _any_mark(filled))
    if kind == "words" and column.dtype == pl.String:
        return column.str.extract_all(_WORD)
    if isinstance(column.dtype, pl.Array):
        return column.arr.to_list()
    # polars cannot write a duration as text
    return column.to_physical() if column.dtype == pl.Duration else column


def _separator(filled: pl.Series) -> str | None:
    """Return the separator of the parts of these cells, or None if cells have one part each.

    A mark may be part of a name ("New York, NY"), so it counts only if there are far fewer
    different parts than different cells. A bar is hardly ever part of a name; it only has to be
    common.
    """
    for mark in _SEPARATORS:
        share = filled.str.contains(mark, literal=True).sum() / max(1, filled.len())
        if mark == "|" and share >= _COMMON:
            return mark
        if share and 2 * filled.str.split(mark).explode().n_unique() < filled.n_unique():
            return mark
    return None


def _any_mark(filled: pl.Series) -> str:
    """Return the first separator that occurs in any cell, or "|".

    This is the separator of columns that the user calls lists.
    """
    found = (mark for mark in _SEPARATORS if filled.str.contains(mark, literal=True).any())
    return next(found, "|")


def _codes(words: pl.Series) -> npt.NDArray[np.int32]:
    """Return the codes of all words: positions while they fit, then hashes that do not change.

    Returns:
        (len(words),) int32.
    """
    codes = np.arange(len(words), dtype=np.int32)
    if len(words) > LIMIT:
        half = LIMIT // 2
        codes[half:] = [half + zlib.crc32(word.encode()) % half for word in words[half:]]
    return codes
