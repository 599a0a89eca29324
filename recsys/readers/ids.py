"""Ids as files write them: what is no id, and whole numbers that a table saved as floats."""

from __future__ import annotations

import re

import polars as pl

NO_ID = frozenset({"", "nan", "null", "none", "<na>"})
# Controls, zero-width and direction marks. The two joiners stay: Persian words need them.
_INVISIBLE = r"[\p{Cc}\u{00AD}\u{200B}\u{200E}\u{200F}\u{202A}-\u{202E}\u{2060}-\u{2069}\u{FEFF}]"
_WHOLE_FLOAT = r"^-?(?:0|[1-9]\d*)\.0+$"
_DECIMAL = r"^-?\d*\.\d+$"
_MIXED = (
    "the id is a whole number written as a float, and other ids of the column are not; write all "
    "ids in one form (12, not 12.0)"
)
_TAIL = r"\.0+$"


def id_faults(ids: pl.Series) -> list[tuple[pl.Series, str]]:
    """Return what is wrong with the ids of one column.

    Args:
        ids: (n,) stripped text without nulls; rows, or each word once.

    Returns:
        For each fault a (n,) bool mask of the ids that have it, and a phrase with the cure that
        shows no id.
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
        # Beside 1.5 a 1.0 is a version or a chapter, and stays as it is written.
        if not others.str.contains(_DECIMAL).all():
            found.append((floats, _MIXED))
    return found


def are_whole_floats(ids: pl.Series) -> bool:
    """Return True if every filled id of a column is a whole number written as a float (12.0)."""
    filled = ids.filter(~_missing(ids))
    return len(filled) > 0 and bool(filled.str.contains(_WHOLE_FLOAT).all())


def without_fraction(ids: pl.Series) -> pl.Series:
    """Return ids such as 12.0 as 12."""
    return ids.str.replace(_TAIL, "").replace("-0", "0")


def whole_number(text: str) -> str | None:
    """Return an id such as 12.0 as 12, or None if it is no whole number written as a float."""
    if not re.fullmatch(_WHOLE_FLOAT, text, re.ASCII):
        return None
    return str(without_fraction(pl.Series([text])).item())


def _missing(ids: pl.Series) -> pl.Series:
    return ids.str.to_lowercase().is_in(list(NO_ID))
