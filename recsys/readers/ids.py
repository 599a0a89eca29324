"""Rules for ids: words for a missing id, invisible characters, whole numbers saved as floats."""

from __future__ import annotations

import re

import polars as pl

NO_ID = frozenset({"", "nan", "null", "none", "<na>"})
# Control characters, zero-width and direction marks. The two joiners are allowed: Persian words
# need them.
_INVISIBLE = r"[\p{Cc}\u{00AD}\u{200B}\u{200E}\u{200F}\u{202A}-\u{202E}\u{2060}-\u{2069}\u{FEFF}]"
_WHOLE_FLOAT = r"^-?(?:0|[1-9]\d*)\.0+$"
_DECIMAL = r"^-?\d*\.\d+$"
_MIXED = (
    "the id is a whole number written as a float, and other ids of the column are not; write all "
    "ids in one form (12, not 12.0)"
)
# Floats from here on do not hold all whole numbers, so two ids may have become one.
_EXACT, _EXACT_32 = 2.0**53, 2.0**24
LOST_DIGITS = (
    "the id is a float so large that its last digits are lost; write the column as integers or as "
    "text"
)
IN_QUOTES = (
    "the id is in quotes, but quotes inside other texts of the file make all of them letters; "
    'double the quotes in those texts ("disc 12""")'
)
_TAIL = r"\.0+$"


def text_of(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return the expression of a column of ids or events as stripped text.

    7 and 7.0 become "7", "007" stays, null becomes "".

    Args:
        name: the column.
        dtype: type of the column.
    """
    column = pl.col(name)
    if dtype.is_float():
        # pandas turns a column of whole numbers with one gap into floats; they are still ids.
        whole = column.cast(pl.Int64, strict=False)
        column = pl.when(whole == column).then(whole.cast(pl.String)).otherwise(
            column.cast(pl.String)
        )  # fmt: skip
    return column.cast(pl.String).str.strip_chars().fill_null("")


def id_faults(ids: pl.Series) -> list[tuple[pl.Series, str]]:
    """Return the faults of the ids of one column.

    Args:
        ids: (n,) stripped text without nulls; rows, or each word once.

    Returns:
        A pair for each fault: the (n,) bool mask of the ids that have it, and a phrase with the
        cure that shows no id.
    """
    found = []
    invisible = ids.str.contains(_INVISIBLE)
    if invisible.any():
        marks = ids.filter(invisible).str.extract_all(_INVISIBLE).explode().unique().sort()
        codes = ", ".join(f"U+{ord(mark):04X}" for mark in marks.head(3))
        found.append((invisible, f"the id holds an invisible character ({codes}); remove it"))
    floats = ids.str.contains(_WHOLE_FLOAT)
    if floats.any() and not are_whole_floats(ids):
        others = ids.filter(~floats & ~_missing(ids))
        # Beside ids such as 1.5, an id 1.0 is a version or a chapter, and stays as it is.
        if not others.str.contains(_DECIMAL).all():
            found.append((floats, _MIXED))
    return found


def has_lost_digits(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a mask expression of the ids that are floats too large to be exact.

    Args:
        name: the id column.
        dtype: type of the column.
    """
    if not dtype.is_float():
        return pl.lit(value=False)
    limit = _EXACT if dtype == pl.Float64 else _EXACT_32
    column = pl.col(name)
    return (column.is_finite() & (column.abs() >= limit)).fill_null(value=False)


def in_quotes(name: str) -> pl.Expr:
    """Return a mask expression of the ids of a text column that are wrapped in quotes.

    Args:
        name: the id column.
    """
    return pl.col(name).str.contains(r'^\s*".*"\s*$').alias(name)


def are_whole_floats(ids: pl.Series) -> bool:
    """Return True if every filled id of a column is a whole number written as a float (12.0)."""
    filled = ids.filter(~_missing(ids))
    return len(filled) > 0 and bool(filled.str.contains(_WHOLE_FLOAT).all())


def without_fraction(ids: pl.Series) -> pl.Series:
    """Return the ids with their fraction removed: "12.0" becomes "12"."""
    return ids.str.replace(_TAIL, "").replace("-0", "0")


def whole_number(text: str) -> str | None:
    """Return "12" for an id such as "12.0", or None if it is no whole number written as a float."""
    if not re.fullmatch(_WHOLE_FLOAT, text, re.ASCII):
        return None
    return str(without_fraction(pl.Series([text])).item())


def _missing(ids: pl.Series) -> pl.Series:
    return ids.str.to_lowercase().is_in(list(NO_ID))
