"""Times of any common spelling as int64 microseconds since 1970, with the rows that failed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data import Bools, Ints64

# Clocks without a fraction come first: polars parses them 6 times faster (5M rows: 0.26 against
# 1.56 s).
_CLOCKS = (" %H:%M:%S", "", " %H:%M", " %H:%M:%S%.f", " %H:%M:%S%.f%z", " %H:%M%z")
_YEAR_FIRST = ("%Y-%m-%d", "%Y/%m/%d")
_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y")
_TWO_FIELDS = r"^(\d\d?)([/.-])(\d\d?)[/.-]"
_MONTHS = 12
_EARLIEST = -2_208_988_800_000_000  # 1900; earlier years are misread: "25/10/24" as year 24


@dataclass
class RowCount:
    """Count of the rows with some property, and the first of them.

    Attributes:
        count: number of rows.
        first: the first rows as (row position, text).
    """

    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)

    def add(self, text: pl.Series, rows: Bools, offset: int, n_samples: int) -> None:
        """Add rows of one batch.

        Args:
            text: (m,) texts of the batch.
            rows: (m,) mask of the rows to add.
            offset: row position of the first row of the batch.
            n_samples: largest number of rows in `first`.
        """
        found = np.flatnonzero(rows)
        self.count += len(found)
        some = found[: n_samples - len(self.first)]
        self.first += [(offset + int(row), str(text[int(row)])) for row in some]


class DateColumn:
    """A column of dates, parsed batch by batch, day first until the order is settled.

    Attributes:
        day_first: rows such as 25/10/2024, which only day/month/year can be.
        month_first: rows such as 10/25/2024.
        either: rows such as 05/06/2024, which mean two different days.
    """

    def __init__(self) -> None:
        self.day_first, self.month_first, self.either = RowCount(), RowCount(), RowCount()
        self._year = _Formats(_YEAR_FIRST)
        self._day = _Formats(_DAY_FIRST)
        self._as_month: list[tuple[int, Ints64]] = []
        self._rows = 0

    def add(self, text: pl.Series, n_samples: int) -> pl.Series:
        """Parse one batch, day first.

        Args:
            text: (m,) stripped text.
            n_samples: largest number of rows kept as examples of each order.

        Returns:
            (m,) Int64 microseconds; null for a text that is no date.
        """
        offset = self._rows
        self._rows += len(text)
        result = self._year.parse(text)
        if not result.has_nulls():
            return result
        plain = _plain(text)
        result = self._year.parse(plain, result)
        unread = result.is_null() & (plain != "")
        if not unread.any():
            return result
        slashed = plain.set(~unread, None)
        first, second = (slashed.str.extract(_TWO_FIELDS, n).cast(pl.UInt8) for n in (1, 3))
        ordered = ((first > _MONTHS) & (second <= _MONTHS), (first <= _MONTHS) & (second > _MONTHS))
        day, month = (rows.fill_null(value=False).to_numpy() for rows in ordered)
        either = ((first <= _MONTHS) & (second <= _MONTHS) & (first != second)).fill_null(
            value=False
        )
        self.day_first.add(text, day, offset, n_samples)
        self.month_first.add(text, month, offset, n_samples)
        self.either.add(text, either.to_numpy(), offset, n_samples)
        swapped = plain.str.replace(_TWO_FIELDS, "$3$2$1$2")
        result = self._day.parse(plain.zip_with(~pl.Series(month), swapped), result)
        if either.any() and not self.day_first.count:
            other = self._day.parse(swapped.set(~either, ""), result.set(either, None))
            self._as_month.append((offset, other.fill_null(0).to_numpy()))
        return result

    def settle(self, microseconds: Ints64) -> Ints64:
        """Return the times of all batches in the order of day and month that the column proves.

        Args:
            microseconds: (n,) int64, the results of `add` end to end.
        """
        if self.month_first.count and not self.day_first.count:
            microseconds = microseconds.copy()
            for offset, batch in self._as_month:
                microseconds[offset : offset + len(batch)] = batch
        self._as_month.clear()
        return microseconds


class _Formats:
    """Date formats combined with every clock; the format of the last batch is tried first."""

    def __init__(self, days: tuple[str, ...]) -> None:
        self._formats = [day + clock for clock, day in product(_CLOCKS, days)]

    def parse(self, text: pl.Series, known: pl.Series | None = None) -> pl.Series:
        """Return Int64 times, with null for text that no format fits.

        Values of `known` that are not null stay. Without `known`, only the first format is tried.
        """
        if known is None:
            return parse_date(text, self._formats[0])
        for form in list(self._formats):
            open_rows = known.is_null() & (text != "")
            if not open_rows.any():
                break
            parsed = parse_date(text.filter(open_rows), form)
            if parsed.null_count() == len(parsed):
                continue
            known = known.clone().scatter(open_rows.arg_true(), parsed)
            # The next batch most likely has the same format.
            self._formats.remove(form)
            self._formats.insert(0, form)
        return known


def parse_date(text: pl.Series, form: str) -> pl.Series:
    """Return Int64 microseconds since 1970; null for text that does not fit the format.

    Args:
        text: (n,) text.
        form: format of chrono.
    """
    # cache=False: times hardly repeat, so looking them up costs more than parsing.
    stamp = text.str.to_datetime(form, time_unit="us", strict=False, cache=False).to_physical()
    return stamp.set(stamp < _EARLIEST, None)


def _parse_as(text: pl.Series, form: str) -> pl.Series:
    """Return what `parse_date` returns for a format of strptime, which chrono reads otherwise."""
    before, comma, after = form.partition(",%f")
    if comma:  # chrono has fractions after a point only, and none at all is one, too
        n_commas = before.count(",")
        text = text.str.replace(rf"^((?:[^,]*,){{{n_commas}}}[^,]*),(\d)", "${1}.${2}")
        form = f"{before}.%f{after}"
    # chrono's %f are whole nanoseconds, and its %z is no Z.
    form = re.sub("%%|%z", lambda mark: mark[0].replace("%z", "%#z"), form.replace(".%f", "%.f"))
    if re.search("%[-_0]?[HIkl]", form) and not re.search("%[-_0]?[McXTR]", form):
        text, form = text + " 00", form + " %M"  # polars wants minutes beside hours
    try:
        return parse_date(text, form)
    except pl.exceptions.ComputeError:  # a format without a year, say
        return pl.repeat(None, len(text), dtype=pl.Int64, eager=True)


def formats_of(text: str) -> tuple[str, str]:
    """Return the formats of strptime that read a date: month first, and day first.

    Args:
        text: a date such as 12/1/2010 8:26, whose first two fields are a day and a month.
    """
    mark = re.sub(r"\d", "", text)[0]
    clock = " %H:%M:%S" if text.count(":") == 2 else " %H:%M" if ":" in text else ""
    return f"%m{mark}%d{mark}%Y{clock}", f"%d{mark}%m{mark}%Y{clock}"


def _plain(text: pl.Series) -> pl.Series:
    """Return text with ISO's T and Z and short zones (+01) in the one spelling of the formats."""
    return (
        text.str.replace(r"^(\S+)T(\d)", "$1 $2")
        .str.replace(r"\s*(?:Z|UTC|GMT)$", "")
        .str.replace(r"(:\d\d(?:\.\d+)?)\s*([+-]\d\d)$", "${1}${2}00")
        .str.replace(r"\s+([+-]\d\d:?\d\d)$", "$1")
    )


# (limit, microseconds in the unit): a column is in the first unit with a limit above its largest
# absolute value.
_UNITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0), (float("inf"), 0.001))
_NAMES = {
    1_000_000.0: "seconds",
    1_000.0: "milliseconds",
    1.0: "microseconds",
    0.001: "nanoseconds",
}
_LARGEST = 9.2e18  # about 2**63; no larger number is a time in any unit
LATE = 4_102_444_800_000_000  # 2100, microseconds
_YEARS = (315_532_800e6, float(LATE))  # 1980 and 2100
# 20241025 is a day, not a second in August 1970, if every value of the column reads as a day. The
# same goes for days with a clock: 20241025155839 is no millisecond of the year 2611.
_FIRST_DAY, _LAST_DAY = 19_000_101, 22_001_231
# (digits after the day, what makes them whole minutes or milliseconds, format); the length of a
# number says its form.
_CALENDAR = (
    (0, 1, "%Y%m%d"),
    (2, 100, "%Y%m%d%H%M"),
    (4, 1, "%Y%m%d%H%M"),
    (6, 1, "%Y%m%d%H%M%S"),
    (9, 1, "%Y%m%d%H%M%S%3f"),
)
_SAMPLES = 200  # texts for each one shown, since many of the rows may be left out by their ratings
TIME_FORMS = "2024-10-25 15:58:39, 2024-10-25T15:58:39Z, 2024-10-25, 25/10/2024 15:58, or a number"


class TimeColumn:
    """A column of times, collected batch by batch.

    The majority of the first batch with any values decides between numbers and dates. The largest
    number decides the unit of numbers, so the unit is known only at the end.

    Attributes:
        form: format of strptime of all texts; None if it is recognised.
        missing: row positions of empty cells, ascending.
        unreadable: row positions of cells that are no time, ascending.
        samples: text of the first unreadable cells, some for each example that is shown.
        dates: the dates, with their evidence for the order of day and month.
    """

    def __init__(self, form: str | None = None) -> None:
        self.form = form
        self.missing = self.unreadable = np.empty(0, np.int64)
        self.samples: list[str] = []
        self._parts: list[npt.NDArray[Any]] = []
        self._numeric: bool | None = None
        self.dates = DateColumn()
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, values: pl.Series, n_samples: int) -> None:
        """Parse one batch.

        Args:
            values: (m,) text, numbers, dates or datetimes.
            n_samples: largest number of rows kept as examples.
        """
        parsed = self._parse(values, n_samples)
        if parsed.has_nulls():
            self._note(values, parsed.is_null(), n_samples)
            parsed = parsed.fill_null(0)
        self._parts.append(parsed.to_numpy())
        self._rows += len(values)

    def microseconds(self) -> Ints64:
        """Return the times of all rows; call this once, since the batches are freed.

        Returns:
            (n,) int64 microseconds since 1970; 0 for rows that failed.
        """
        whole = self._whole()
        self._parts.clear()
        if not self._numeric:
            return self.dates.settle(whole.astype(np.int64, copy=False))
        days = self._days(whole)
        if days is not None:
            return days
        _, factor = _unit(whole)
        if whole.dtype.kind == "f":
            return np.rint(whole.astype(np.float64) * factor).astype(np.int64)
        whole = whole.astype(np.int64, copy=False)
        # Whole numbers, because floats hold today's microseconds exactly, but not nanoseconds.
        return whole * int(factor) if factor >= 1 else whole // 1000

    def other_units(self) -> tuple[str, list[tuple[str, Ints64]]]:
        """Return the unit of the largest number, and rows that look like times in a coarser unit.

        Such rows would be near 1970 in the unit of the largest number, but lie in 1980 to 2100 in
        the coarser unit: the file mixes seconds and milliseconds, say. Call this before
        `microseconds`.

        Returns:
            (unit, list of (coarser unit, row positions), an entry for each unit with such rows);
            ("", []) for dates.
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

    def _days(self, whole: npt.NDArray[Any]) -> Ints64 | None:
        """Return the times if every number is a day such as 20241025, or with a clock; else None.

        Numbers with a clock are 2024102515, 202410251558, 20241025155839 or 20241025155839123.
        """
        is_read = np.ones(len(whole), bool)
        is_read[self.missing] = is_read[self.unreadable] = False
        numbers = whole if is_read.all() else whole[is_read]
        if not len(numbers) or numbers.min() < _FIRST_DAY:
            return None
        found, times, n_found = np.zeros(len(whole), np.int64), np.empty(len(numbers), np.int64), 0
        for digits, factor, form in _CALENDAR:
            low, high = _FIRST_DAY * 10**digits, (_LAST_DAY + 1) * 10**digits
            rows = np.flatnonzero((numbers >= low) & (numbers < high))
            if not len(rows):
                continue
            days = numbers[rows].astype(np.int64)
            parsed = parse_date(pl.Series(days * factor).cast(pl.String), form)
            if parsed.has_nulls() or not np.array_equal(days, numbers[rows]):
                return None
            times[rows] = parsed.to_numpy()
            n_found += len(rows)
        if n_found < len(numbers):
            return None
        found[is_read] = times
        return found

    def _whole(self) -> npt.NDArray[Any]:
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.int64)

    def _parse(self, values: pl.Series, n_samples: int) -> pl.Series:
        if self.form is not None and not values.dtype.is_temporal():
            self._numeric = False
            return _parse_as(_digits(values).str.strip_chars(), self.form)
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
        n_more = _SAMPLES * n_samples - len(self.samples)
        self.samples += text.filter(unreadable).head(n_more).to_list()


def is_time_type(dtype: pl.DataType) -> bool:
    """Return True if columns of this type may hold times."""
    kinds = (pl.String, pl.Categorical, pl.Enum, pl.Date, pl.Datetime)
    return dtype.is_numeric() or isinstance(dtype, kinds)


def _digits(values: pl.Series) -> pl.Series:
    """Return text as it is, and whole numbers without a fraction: 20241025.0 as "20241025"."""
    if values.dtype.is_float():
        values = values.cast(pl.Int64, strict=False)
    return values.cast(pl.String)


def _unit(whole: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the largest absolute value, and the number of microseconds in its unit."""
    largest = max(float(whole.max()), -float(whole.min())) if len(whole) else 0.0
    return largest, next(factor for limit, factor in _UNITS if largest < limit)


def _numbers(values: pl.Series) -> pl.Series:
    """Return Int64 if every good value is whole, else Float64; null for all but finite numbers."""
    whole = values.cast(pl.Int64, strict=False) if not values.dtype.is_float() else None
    if whole is not None and not whole.has_nulls():
        return whole
    real = values.cast(pl.Float64, strict=False)
    lost = ~(real.is_finite() & (real.abs() < _LARGEST)).fill_null(value=False)
    if whole is not None and (whole.is_null() == lost).all():
        return whole
    return real.set(lost, None)
