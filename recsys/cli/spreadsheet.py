"""Text in CSV files that spreadsheets would run as formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# first characters of a formula, also full-width, and what a spreadsheet skips before one (OWASP)
STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"


def without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table with a single quote before each text that could be read as a formula.

    Columns of numbers and dates stay as they are.
    """
    import polars as pl

    text = pl.col(pl.String)
    risky = text.str.slice(0, 1).is_in(list(STARTS))
    return frame.with_columns(pl.when(risky).then("'" + text).otherwise(text).name.keep())
