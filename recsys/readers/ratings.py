"""Ratings: rows below --min-rating are left out; an unused column of low ratings is told."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.data import Bools
from recsys.messages import SHOWN
from recsys.readers.tables.table import READ_ERRORS, Table

_MOST_RATINGS = 12  # different values of a scale: half stars from 0 to 5 are 11


class RatingColumn:
    """The outcome of comparing a rating column with the lowest rating, batch by batch.

    Attributes:
        name: name of the column in the file.
        lowest: the lowest rating that counts as interest.
        unreadable: row positions of cells that are no number, ascending.
        samples: text of the first unreadable cells.
        n_missing: number of empty cells; such rows have no rating and are left out too.
    """

    def __init__(self, name: str, lowest: float) -> None:
        self.name, self.lowest = name, lowest
        self.unreadable = np.empty(0, np.int64)
        self.samples: list[str] = []
        self.n_missing = 0
        self._kept: list[Bools] = []
        self._rows = 0

    def add(self, cells: pl.Series) -> None:
        """Compare one batch.

        Args:
            cells: (m,) numbers or text.
        """
        text = cells.cast(pl.String).str.strip_chars().fill_null("")
        missing = text.str.to_lowercase().is_in(["", "nan", "null"])
        value = text.cast(pl.Float64, strict=False)
        wrong = value.is_null() & ~missing
        if wrong.any():
            rows = np.flatnonzero(wrong.to_numpy()) + self._rows
            self.unreadable = np.append(self.unreadable, rows)
            self.samples += text.filter(wrong).head(SHOWN - len(self.samples)).to_list()
        self.n_missing += int(missing.sum())
        enough = (value >= self.lowest) & ~missing
        self._kept.append(enough.fill_null(value=False).to_numpy())
        self._rows += len(cells)

    def rows(self) -> Bools:
        """Return a mask of the rows that the lowest rating keeps.

        Returns:
            (n,) bool.
        """
        return np.concatenate(self._kept) if self._kept else np.empty(0, np.bool_)


def low_ratings(table: Table, name: str) -> str | None:
    """Return the distribution of an unused rating column, or None unless it has several values.

    Args:
        table: the table.
        name: the column.
    """
    try:
        found = _distribution(table, name)
    except READ_ERRORS:
        return None  # the columns in use have been read, so the file is good enough
    if not 2 <= len(found) <= _MOST_RATINGS:
        return None  # all alike, or no scale
    total = sum(found.values())
    shares = ", ".join(f"{each:g}: {found[each] / total:.0%}" for each in sorted(found))
    return (
        f"ratings: column {name!r} is not used, so a low rating counts as interest like a high "
        f"one ({shares}); --min-rating {_upper_half(found):g} leaves lower ones out"
    )


def _distribution(table: Table, name: str) -> dict[float, int]:
    """Return the number of rows of each rating; none if the column's type rules ratings out."""
    value = pl.col(name).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    found: dict[float, int] = {}
    for part in table.parts:
        if not is_rating_type(part.scan().collect_schema()[name]):
            return {}
        rows = part.scan().select(value.alias("value")).filter(pl.col("value").is_finite())
        counts = rows.group_by("value").len().collect(engine="streaming")
        for each, n in counts.iter_rows():
            found[each] = found.get(each, 0) + n
    return found


def is_rating_type(dtype: pl.DataType) -> bool:
    """Return True if columns of this type may hold ratings."""
    return dtype.is_numeric() or isinstance(dtype, (pl.String, pl.Categorical, pl.Enum, pl.Null))


def _upper_half(found: dict[float, int]) -> float:
    """Return the lowest value in the upper half of a scale: 4 of 1 to 5, 3 of 0 to 5."""
    values = sorted(found)
    middle = (values[0] + values[-1]) / 2
    return next(value for value in values if value > middle)


def rating_problem(table: Table, rating: RatingColumn) -> str | None:
    """Return a problem that lists the cells of a rating column that are no numbers, or None.

    Args:
        table: the table.
        rating: the column, after all batches.
    """
    if not len(rating.unreadable):
        return None
    return (
        f"{table.where}: {table.places(rating.unreadable)}, column {rating.name!r}: not a rating: "
        f"{', '.join(map(repr, rating.samples))}; write numbers (4.5), or leave --min-rating out"
    )
