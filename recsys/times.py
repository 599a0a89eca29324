"""Times of any common spelling -> int64 microseconds since 1970, with what failed and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.dates import DateColumn, parse_date
from recsys.interactions import Ints64

# Largest absolute value below which numbers are taken as that unit, and microseconds in one.
_UNITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0), (float("inf"), 0.001))
_NAMES = {
    1_000_000.0: "seconds",
    1_000.0: "milliseconds",
    1.0: "microseconds",
    0.001: "nanoseconds",
}
_LARGEST = 9.2e18  # about 2**63: nothing larger is a time in any unit
_YEARS = (315_532_800e6, 4_102_444_800e6)  # 1980 and 2100, microseconds
# 20241025 is a day, not a second in August 1970, if every value of the column reads as one.
_FIRST_DAY, _LAST_DAY = 19_000_101, 22_001_231
TIME_FORMS = "2024-10-25 15:58:39, 2024-10-25T15:58:39Z, 2024-10-25, 25/10/2024 15:58, or a number"


class TimeColumn:
    """Collects one time column batch by batch.

    Whether the column holds numbers or dates is settled by the majority of its first batch that
    holds anything; the unit of numbers by the largest one, so it is known only at the end.

    Attributes:
        missing: row positions with nothing in them, ascending.
        unreadable: row positions with something else than a time, ascending.
        samples: text of the first unreadable ones.
        dates: what is known of the order of day and month.
    """

    def __init__(self) -> None:
        self.missing = self.unreadable = np.empty(0, np.int64)
        self.samples: list[str] = []
        self._parts: list[npt.NDArray[Any]] = []
        self._numeric: bool | None = None
        self.dates = DateColumn()
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, values: pl.Series, n_samples: int) -> None:
        """Parse one batch: text, numbers, dates or datetimes."""
        parsed = self._parse(values, n_samples)
        if parsed.has_nulls():
            self._note(values, parsed.is_null(), n_samples)
            parsed = parsed.fill_null(0)
        self._parts.append(parsed.to_numpy())
        self._rows += len(values)

    def microseconds(self) -> Ints64:
        """(n,) int64; rows that failed hold 0."""
        whole = self._whole()
        self._parts.clear()
        if not self._numeric:
            return self.dates.settle(whole.astype(np.int64, copy=False))
        largest, factor = _unit(whole)
        if whole.dtype.kind == "f":
            return np.rint(whole.astype(np.float64) * factor).astype(np.int64)
        whole = whole.astype(np.int64, copy=False)
        if len(whole) and whole.min() >= _FIRST_DAY and largest <= _LAST_DAY:
            days = parse_date(pl.Series(whole).cast(pl.String), "%Y%m%d")
            if not days.has_nulls():
                return days.to_numpy()
        # In whole numbers: as floats, microseconds of today are exact, nanoseconds are not.
        return whole * int(factor) if factor >= 1 else whole // 1000

    def other_units(self) -> tuple[str, list[tuple[str, Ints64]]]:
        """The unit of the largest number, and the rows that would be near 1970 in it.

        Those are rows that in a coarser unit are of the years 1980 to 2100, under that unit's
        name: a file put together from seconds and milliseconds. Call it before `microseconds`.
        """
        whole = self._whole()
        if not self._numeric or not len(whole):
            return "", []
        self._parts = [whole]
        _, factor = _unit(whole)
        found = []
        for _, coarser in _UNITS:
            if coarser <= factor:
                break
            low, high = _YEARS[0] / coarser, _YEARS[1] / coarser
            rows = np.flatnonzero((whole >= low) & (whole < high))
            if len(rows):
                found.append((_NAMES[coarser], rows))
        return _NAMES[factor], found

    def _whole(self) -> npt.NDArray[Any]:
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.int64)

    def _parse(self, values: pl.Series, n_samples: int) -> pl.Series:
        if values.dtype == pl.String:
            text = values.str.strip_chars()
            if self._numeric is None:
                filled = text.filter(text != "")
                numbers = filled.cast(pl.Float64, strict=False)
                self._numeric = numbers.count() * 2 > len(filled) if len(filled) else None
            return _numbers(text) if self._numeric else self.dates.add(text, n_samples)
        self._numeric = values.dtype.is_numeric()
        if self._numeric:
            return _numbers(values)
        return values.cast(pl.Datetime("us")).to_physical()

    def _note(self, values: pl.Series, bad: pl.Series, n_samples: int) -> None:
        text = values.cast(pl.String).str.strip_chars().fill_null("")
        missing, unreadable = bad & (text == ""), bad & (text != "")
        self.missing = np.append(self.missing, np.flatnonzero(missing.to_numpy()) + self._rows)
        self.unreadable = np.append(
            self.unreadable, np.flatnonzero(unreadable.to_numpy()) + self._rows
        )
        self.samples += text.filter(unreadable).head(n_samples - len(self.samples)).to_list()


def _unit(whole: npt.NDArray[Any]) -> tuple[float, float]:
    """The largest absolute value, and how many microseconds its unit has."""
    largest = max(float(whole.max()), -float(whole.min())) if len(whole) else 0.0
    return largest, next(factor for limit, factor in _UNITS if largest < limit)


def _numbers(values: pl.Series) -> pl.Series:
    """Int64 if every good value is whole, else Float64; null where no finite number stands."""
    whole = values.cast(pl.Int64, strict=False) if not values.dtype.is_float() else None
    if whole is not None and not whole.has_nulls():
        return whole
    real = values.cast(pl.Float64, strict=False)
    lost = ~(real.is_finite() & (real.abs() < _LARGEST)).fill_null(value=False)
    if whole is not None and (whole.is_null() == lost).all():
        return whole
    return real.set(lost, None)
