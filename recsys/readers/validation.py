"""Checks of the columns read from a table of interactions, which yield Events or problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.data import Bools, Events, Floats32, Ints32, Ints64, sorted_ids
from recsys.messages import SHOWN, and_more, listed, shorten
from recsys.readers.categorical import CodeColumn
from recsys.readers.columns import EVENT_WEIGHTS, Columns, Role
from recsys.readers.ids import NO_ID, are_whole_floats, id_faults, without_fraction
from recsys.readers.ratings import RatingColumn, rating_problem
from recsys.readers.tables.table import Table
from recsys.readers.timestamps import LATE, TIME_FORMS, TimeColumn, formats_of

_ID_ROLES: tuple[Role, ...] = ("user", "item")


@dataclass(frozen=True)
class ColumnBatch:
    """The columns read by one pass over a file.

    Attributes:
        codes: ids and events as codes, by role.
        time_name: name of the time column, or None.
        time: the times.
        n_rows: number of rows, blank lines included.
        blank: row positions of blank lines.
        remarks: phrases for people on the columns, such as low ratings that are not used.
        rating: the ratings, or None if they do not count.
    """

    codes: dict[Role, CodeColumn]
    time_name: str | None
    time: TimeColumn
    n_rows: int
    blank: Ints64
    remarks: tuple[str, ...] = ()
    rating: RatingColumn | None = None


def check_parts(
    table: Table, parts: ColumnBatch, columns: Columns, problems: list[str], fewest: int
) -> Events | None:
    """Check the columns of a table and build its Events.

    Args:
        table: the table.
        parts: columns of the table; their batches are freed.
        columns: the user's overrides, with weights of events.
        problems: list that receives a line for each problem found.
        fewest: smallest number of users and of items.

    Returns:
        The rows, or None if there is nothing to build from. Rows with problems may be among them,
        so the caller checks `problems` first.
    """
    keep = np.ones(parts.n_rows, np.bool_)
    keep[parts.blank] = False
    weights = None
    if "event" in parts.codes:
        weights = _row_weights(table, parts.codes["event"], columns, keep, problems)
        keep &= weights > 0
    n_returns = parts.n_rows - len(parts.blank) - int(keep.sum())
    n_low = _leave_low_ratings_out(table, parts.rating, keep, problems)
    _report_times(table, parts, keep, problems, columns.time_format)
    if not keep.any():
        problems.append(f"{table.where}: {_why_none(parts, weights, n_low)}")
        return None
    found = {
        role: _vocabulary(table, parts.codes[role], role, keep, problems, fewest)
        for role in _ID_ROLES
        if role in parts.codes
    }
    if len(found) < len(_ID_ROLES):
        return None
    (user_ids, users, _), (item_ids, items, _) = found["user"], found["item"]
    from_floats = tuple(parts.codes[role].name for role in _ID_ROLES if found[role][2])
    rows = slice(None) if keep.all() else keep
    times = parts.time.microseconds()[rows] if parts.time_name else None
    kept_weights = None if weights is None else weights[rows]
    remarks = (*parts.remarks, *_late_times(parts.time_name, times))
    used = _columns_used(parts)
    unused = tuple(name for name in table.names if name not in dict(used).values())
    return Events(
        users,
        items,
        times,
        kept_weights,
        user_ids,
        item_ids,
        n_returns,
        unused,
        from_floats,
        remarks,
        n_low,
        used,
    )


def _late_times(name: str | None, times: Ints64 | None) -> list[str]:
    """Return a remark if the newest time is one that nobody has seen yet, by a misread number."""
    if times is None or (newest := int(times.max())) < LATE:
        return []
    year = np.datetime64(newest, "us").astype("datetime64[Y]")
    told = f"times: column {name!r}: the newest is in the year {year}"
    return [f"{told}; if that is wrong, name the form with --time-format, such as %Y%m%d%H%M%S"]


def _columns_used(parts: ColumnBatch) -> tuple[tuple[str, str], ...]:
    """Return (role, column) of the columns read, users and items first."""
    used: dict[str, str] = {role: column.name for role, column in parts.codes.items()}
    if parts.time_name:
        used["time"] = parts.time_name
    if parts.rating:
        used["rating"] = parts.rating.name
    return tuple(used.items())


def _leave_low_ratings_out(
    table: Table, rating: RatingColumn | None, keep: Bools, problems: list[str]
) -> int:
    """Clear the mask of rows below the lowest rating, in place; return their number."""
    if rating is None:
        return 0
    if problem := rating_problem(table, rating):
        problems.append(problem)
    before = int(keep.sum())
    keep &= rating.rows()
    return before - int(keep.sum())


def _why_none(parts: ColumnBatch, weights: Floats32 | None, n_low: int) -> str:
    n_rows, event = parts.n_rows - len(parts.blank), parts.codes.get("event")
    if n_low and parts.rating:
        return (
            f"no row has a rating of {parts.rating.lowest:g} or more in column "
            f"{parts.rating.name!r}; give a lower --min-rating"
        )
    if weights is None or event is None or not n_rows:
        return "has a header but no rows; it needs interactions"
    returns = f"are returns or cancellations by column {event.name!r}, and those are left out"
    return f"all of its rows ({n_rows:,}) {returns}; it needs interactions"


def _vocabulary(
    table: Table, column: CodeColumn, role: Role, keep: Bools, problems: list[str], fewest: int
) -> tuple[list[str], Ints32, bool]:
    """Return the ids of the kept rows, and each kept row's position among them.

    Returns:
        (ids in vocabulary order, int32 position of each kept row, True if some ids were whole
        numbers written as floats, which are integers now).
    """
    words, codes = column.finish()
    kept = codes if keep.all() else codes[keep]
    used = np.zeros(len(words), np.bool_)
    used[kept] = True
    no_id = [number for number, word in enumerate(words) if word.casefold() in NO_ID]
    missing = [number for number in no_id if used[number]]
    for number in missing:
        rows = np.flatnonzero(keep & (codes == number))
        problems.append(
            f"{table.where}: {table.places(rows)}, column {column.name!r}: {words[number]!r} is no "
            f"{role} id; fill it in or delete the row"
        )
    used[no_id] = False
    filled = pl.Series([words[number] for number in np.flatnonzero(used)], dtype=pl.String)
    for wrong, text in id_faults(filled):
        rows = np.flatnonzero(keep & np.isin(codes, np.flatnonzero(used)[wrong.to_numpy()]))
        problems.append(f"{table.where}: {table.places(rows)}, column {column.name!r}: {text}")
    # Binary floats are integers already; fingerprints of stored studies need them so, one by one.
    from_floats = column.is_float and bool(filled.str.contains(r"^-?\d+$").any())
    if are_whole_floats(filled):
        from_floats = True
        words = without_fraction(pl.Series(words, dtype=pl.String)).to_list()
        filled = without_fraction(filled).unique()
    ids = sorted_ids(filled.to_list())
    if len(ids) == 1 < fewest and not missing:
        problems.append(
            f"{table.where}: column {column.name!r} holds one {role} only ({shorten(ids[0])!r}); "
            f"at least 2 are needed; is this the right column (--{role}-col)?"
        )
    position = {word: number for number, word in enumerate(ids)}
    rank = np.array([position.get(word, -1) for word in words], np.int32)
    return ids, rank[kept], from_floats


def _row_weights(
    table: Table, column: CodeColumn, columns: Columns, keep: Bools, problems: list[str]
) -> Floats32:
    """Return (n,) float32 weights of all rows of the file; 0 marks a row against interest."""
    words, codes = column.finish()
    weights = [columns.event_weight(word) for word in words]
    unknown = [number for number, weight in enumerate(weights) if weight is None]
    rows = np.flatnonzero(keep & np.isin(codes, unknown))
    if len(rows):
        named = [words[number] for number in np.unique(codes[rows])]
        problems.append(
            f"{table.where}: {table.places(rows)}, column {column.name!r}: "
            f"{listed(named, SHOWN)} is no known event; allowed are "
            f"{', '.join(EVENT_WEIGHTS)}; say what they weigh with --event-weights WORD=WEIGHT, "
            "or change the words, or rename or remove the column"
        )
    return np.array([1.0 if w is None else w for w in weights], np.float32)[codes]


def _report_times(
    table: Table, parts: ColumnBatch, keep: Bools, problems: list[str], time_format: str | None
) -> None:
    """Report the times of the kept rows that are missing, unreadable or ambiguous."""
    time, column = parts.time, f"column {parts.time_name!r}"
    missing = time.missing[keep[time.missing]]
    if len(missing):
        problems.append(
            f"{table.where}: {table.places(missing)}, {column}: no time; fill it in or delete "
            "the row"
        )
    is_kept = keep[time.unreadable]
    unreadable = time.unreadable[is_kept]
    if len(unreadable):
        texts = [text for text, kept in zip(time.samples, is_kept, strict=False) if kept][:SHOWN]
        if len(texts) == min(SHOWN, len(unreadable)):
            places = f"{_quoted(table, unreadable, texts)}{and_more(len(unreadable))}"
        else:
            places = table.places(unreadable)
        wanted = f"write {TIME_FORMS}"
        if time_format is not None:
            wanted = f"mend --time-format {time_format!r}"
        problems.append(
            f"{table.where}: {column}: not a time: {places}; {wanted}, or delete the rows"
        )
    unsettled = _unsettled_times(table, time, keep)
    problems.extend(f"{table.where}: {column}: {text}" for text in unsettled)


def _quoted(table: Table, rows: Sequence[int] | Ints64, texts: Sequence[str]) -> str:
    """Return a phrase that lists the first rows with their texts, such as "line 3 'noon'"."""
    shown = zip(table.spots(rows), texts, strict=True) if len(rows) else ()
    return ", ".join(f"{spot} {shorten(text)!r}" for spot, text in shown)


def _unsettled_times(table: Table, time: TimeColumn, keep: Bools) -> Iterator[str]:
    """Yield a problem for each way in which readable times are ambiguous."""
    unit, others = time.other_units()
    for other, rows in ((other, rows[keep[rows]]) for other, rows in others):
        if not len(rows):
            continue
        yield (
            f"numbers in two units: {len(rows):,} of {len(time):,} look like {other} since 1970 "
            f"({table.places(rows)}), the largest like {unit}; write all of them in one unit"
        )
    dates = time.dates
    days, months, either = (
        _quoted(table, [row for row, _ in places.first], [text for _, text in places.first])
        for places in (dates.day_first, dates.month_first, dates.either)
    )
    if days and months:
        yield (
            f"dates in two orders: {dates.day_first.count:,} have the day first ({days}), "
            f"{dates.month_first.count:,} the month ({months}); write them as 2024-10-25"
        )
    elif either and not days and not months:
        month_first, day_first = formats_of(dates.either.first[0][1])
        yield (
            f"day and month cannot be told apart in {dates.either.count:,} dates ({either}), "
            "and no other date shows their order; write them as 2024-10-25, or say which comes "
            f"first: --time-format {month_first!r} or {day_first!r}"
        )
