"""Reading of a table of interactions into Events, in one pass of bounded memory.

Ids become category codes while polars reads, so 50M rows cost 4 bytes per id and no Python loop
runs over rows; only the vocabularies are sorted in Python.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data import Events, Ints64
from recsys.messages import SHOWN, listed
from recsys.readers.categorical import CodeColumn
from recsys.readers.columns import (
    SPELLINGS,
    Columns,
    Role,
    find_column,
    is_data,
    matching_columns,
    spelled,
)
from recsys.readers.ids import IN_QUOTES, LOST_DIGITS, has_lost_digits, in_quotes, text_of
from recsys.readers.ratings import RatingColumn, is_rating_type, low_ratings
from recsys.readers.tables.damage import explain
from recsys.readers.tables.table import READ_ERRORS, Table
from recsys.readers.timestamps import TIME_FORMS, TimeColumn, is_time_type
from recsys.readers.validation import ColumnBatch, check_parts

_LOOKED_AT = 10_000  # rows by which the finest of several time columns is found
_BY_POSITION = "--no-header --user-col 1 --item-col 2 --time-col 3, with the right positions"


def read_events(
    table: Table,
    columns: Columns,
    problems: list[str],
    fewest: int = 2,
    min_rating: float | None = None,
) -> Events | None:
    """Read all rows of a table of interactions.

    Args:
        table: the table.
        columns: the user's overrides of column names.
        problems: list that receives a line for each problem found.
        fewest: smallest number of users and of items, so that a wrong column is noticed.
        min_rating: lowest rating that counts as interest; None if ratings do not count.

    Returns:
        The rows, or None (and at least one problem) if anything is wrong with them.
    """
    before = len(problems)
    if _has_header_line(table, columns) and all(map(is_data, table.names)):
        problems.append(
            f"{table.where}: the first line looks like data ({listed(table.names)}); "
            "add a header line such as user_id,item_id,timestamp, or name the columns by "
            f"position: {_BY_POSITION}"
        )
        return None
    names, remarks = _columns_of(table, columns, problems, rated=min_rating is not None)
    # If a column is missing, the others are read all the same, to report all problems at once;
    # but if lines are ragged, cells are in the wrong columns and are not checked.
    before_reading = len(problems)
    lowest = min_rating if names["rating"] else None
    table, parts = _read_with_quotes_or_without(table, names, columns.time_format, lowest, problems)
    if parts is None or len(problems) > before_reading:
        return None
    parts = replace(parts, remarks=(*remarks, *parts.remarks))
    events = check_parts(table, parts, columns, problems, fewest)
    return None if len(problems) > before else events


def _has_header_line(table: Table, columns: Columns) -> bool:
    """Return True if the columns are named by first lines, which may be data by mistake."""
    return columns.header and all(part.form for part in table.parts)


def _columns_of(
    table: Table, columns: Columns, problems: list[str], *, rated: bool
) -> tuple[dict[Role, str | None], list[str]]:
    """Return the column of each role, and remarks on how columns were recognised."""
    roles: tuple[Role, ...] = ("user", "item", "time", "event")
    advice = {"time": _finest_time(table) if columns.time is None else ""}
    if _has_header_line(table, columns) and any(map(is_data, table.names)):
        advice |= dict.fromkeys(
            ("user", "item"), f"; if the first line is data, give {_BY_POSITION}"
        )
    where = table.where
    names: dict[Role, str | None] = {"rating": None}
    for role in (*roles, "rating") if rated else roles:
        # A column of the files wins over one that their folders name.
        own = matching_columns(role, table.own_names) and columns.named(role) is None
        known = table.own_names if own else table.names
        names[role] = find_column(role, known, where, columns, problems, advice.get(role, ""))
    remarks: list[str] = []
    if not columns.header and names["event"] is None and columns.event is None:
        taken = {name for name in names.values() if name}
        names["event"] = _column_of_event_words(table, columns, taken)
        if names["event"]:
            remarks.append(f"events: column {names['event']!r} holds words of events, with weights")
    chosen = [name for name in names.values() if name]
    if names["time"] is None and columns.time is None:
        remarks += _columns_like_times(table, chosen)
    if len(set(chosen)) < len(chosen):
        problems.append(
            f"{table.where}: one column would play two roles ({listed(chosen)}); "
            "check --user-col, --item-col, --time-col, --event-col and --rating-col"
        )
    return names, remarks


def _finest_time(table: Table) -> str:
    """Return advice on the time column that is best readable and has most values, if several are.

    Among equals, the first in the order of the known spellings wins.
    """
    found = matching_columns("time", table.own_names) or matching_columns("time", table.names)
    if len(found) < 2:
        return ""
    try:
        rows = table.parts[0].scan().select(found).head(_LOOKED_AT).collect()
    except READ_ERRORS:
        return ""  # the read of all rows, which follows, fails too and explains the error
    ranked = [name for spelling in SPELLINGS["time"] for name in spelled([spelling], found)]
    finest = max(ranked, key=lambda name: _fineness(rows[name]))
    return f" (the finest is --time-col {shlex.quote(finest)})"


def _columns_like_times(table: Table, chosen: list[str]) -> list[str]:
    """Return a line on each column without a role whose cells all look like recent times."""
    free = [name for name in table.own_names if name not in chosen]
    try:
        rows = table.parts[0].scan().select(free).head(_LOOKED_AT).collect()
    except READ_ERRORS:
        return []  # as in _finest_time
    return [
        f"times: column {name!r} looks like times; --time-col {shlex.quote(name)} uses them (in a "
        "new study)"
        for name in free
        if _are_recent_times(rows[name])
    ]


def _are_recent_times(cells: pl.Series) -> bool:
    """Return True if all cells are times from 1995 to a year from now, and not all the same.

    The limits leave out years of birth, prices, and most numbers of articles and orders.
    """
    n_times, times = _times_among(cells)
    if not len(cells) or n_times < len(cells) or len(np.unique(times)) < 2:
        return False
    first = np.datetime64("1995-01-01", "us").astype(np.int64)
    last = (np.datetime64("now", "us") + np.timedelta64(365, "D")).astype(np.int64)
    return bool(times.min() >= first and times.max() <= last)


def _fineness(cells: pl.Series) -> tuple[int, int]:
    """Return the number of cells that are times, and the number of different times."""
    n_times, times = _times_among(cells)
    return n_times, len(np.unique(times))


def _times_among(cells: pl.Series) -> tuple[int, Ints64]:
    """Return the number of cells that are times, and the times in microseconds since 1970."""
    if not is_time_type(cells.dtype):
        return 0, np.empty(0, np.int64)
    if isinstance(cells.dtype, (pl.Categorical, pl.Enum)):
        cells = cells.cast(pl.String)
    column = TimeColumn()
    column.add(cells, 0)
    n_bad = len(column.missing) + len(column.unreadable)
    return len(cells) - n_bad, column.microseconds()


def _column_of_event_words(table: Table, columns: Columns, taken: set[str]) -> str | None:
    """Return the only column without a role that holds nothing but event words, or None."""
    try:
        rows = table.parts[0].scan().head(_LOOKED_AT).collect()
    except READ_ERRORS:
        return None  # as in _finest_time
    found = []
    for name in table.own_names:
        words = rows[name].cast(pl.String).str.strip_chars().unique().to_list()
        if name not in taken and words and None not in map(columns.event_weight, words):
            found.append(name)
    return found[0] if len(found) == 1 else None


def id_type_problem(table: Table, name: str, dtype: pl.DataType) -> str | None:
    """Return a problem if the type of a column rules out ids, else None.

    Args:
        table: table of the column, for the message.
        name: the column.
        dtype: type of the column.
    """
    simple = dtype.is_numeric() or isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))
    if simple:
        return None
    return f"{table.where}: column {name!r} is of type {dtype}; ids must be text or numbers"


def _read_with_quotes_or_without(
    table: Table,
    names: dict[Role, str | None],
    time_format: str | None,
    lowest: float | None,
    problems: list[str],
) -> tuple[Table, ColumnBatch | None]:
    """Return the table in the form in which it can be read, and its columns."""
    before = len(problems)
    try:
        return table, _read(table, names, time_format, lowest, problems)
    except READ_ERRORS as error:
        del problems[before:]
        other = table.without_quotes()
        if other is not None:
            try:
                parts = _read(other, names, time_format, lowest, problems)
                problems += _ids_in_quotes(other, names)
                return other, parts
            except READ_ERRORS:
                del problems[before:]  # the first error is explained below
        explain(table, error, problems)
        return table, None


def _read(
    table: Table,
    names: dict[Role, str | None],
    time_format: str | None,
    lowest: float | None,
    problems: list[str],
) -> ColumnBatch | None:
    """Return the columns of a table, or None (and a problem) if their types rule that out."""
    coded: tuple[Role, ...] = ("user", "item", "event")
    schemas = [part.scan().collect_schema() for part in table.parts]
    codes = {
        role: CodeColumn(name, is_float=all(schema[name].is_float() for schema in schemas))
        for role in coded
        if (name := names[role])
    }
    rating = RatingColumn(names["rating"] or "", lowest) if lowest is not None else None
    if wrong := _type_problems(table, names, codes, schemas):
        problems.extend(wrong)
        return None
    time, n_rows = TimeColumn(time_format), 0
    marked: dict[str, list[int]] = {mark: [] for mark in ("header", *codes)}
    blank = [np.empty(0, np.int64)]
    hidden: list[str] = []
    for part, schema in zip(table.parts, schemas, strict=True):
        start, short = n_rows, False
        for batch in part.batches(_selection(part, schema, codes, names)):
            for role, column in codes.items():
                column.add(batch[role])
            if names["time"]:
                time.add(batch["time"], SHOWN)
            if rating:
                rating.add(batch["rating"])
            short = short or bool(batch["short"].any())
            for mark, rows in marked.items():
                rows.extend((np.flatnonzero(batch[f"is {mark}"].to_numpy()) + n_rows).tolist())
            n_rows += batch.height
        if short:
            blank.append(part.irregular(problems) + start)
        hidden += part.hidden_lines(n_rows - start)
    problems += _marked_rows(table, codes, marked)
    unused = [name for name in spelled(SPELLINGS["rating"], table.names)
              if name not in names.values()]  # fmt: skip
    told = (*hidden, *(text for name in unused if (text := low_ratings(table, name))))
    return ColumnBatch(codes, names["time"], time, n_rows, np.concatenate(blank), told, rating)


def _marked_rows(
    table: Table, codes: dict[Role, CodeColumn], marked: dict[str, list[int]]
) -> Iterator[str]:
    """Yield a problem for the rows that repeat the header, and for inexact ids of each column."""
    if headers := marked["header"]:
        verb = "repeats" if len(headers) == 1 else "repeat"
        yield (
            f"{table.where}: {table.places(headers)} {verb} the header (files put together?); "
            "delete each such line"
        )
    for role, column in codes.items():
        if rows := marked[role]:
            place = f"{table.where}: {table.places(rows)}, column {column.name!r}"
            yield f"{place}: {LOST_DIGITS}"


def _ids_in_quotes(table: Table, names: dict[Role, str | None]) -> Iterator[str]:
    """Yield a problem for each id column of a table whose quotes are letters and wrap ids."""
    ids = [name for role in ("user", "item") if (name := names[role])]
    wrapped = table.scan().select(in_quotes(name) for name in ids).collect()
    for column in wrapped:
        if column.any():
            places = table.places(column.arg_true().to_numpy())
            yield f"{table.where}: {places}, column {column.name!r}: {IN_QUOTES}"


def _type_problems(
    table: Table,
    names: dict[Role, str | None],
    codes: dict[Role, CodeColumn],
    schemas: list[pl.Schema],
) -> list[str]:
    """Return a problem for each column whose type rules out its role, in any file of the table."""
    found: list[str | None] = []
    kinds: dict[str, Path] = {}
    for part, schema in zip(table.parts, schemas, strict=True):
        found += [id_type_problem(part, each.name, schema[each.name]) for each in codes.values()]
        found.append(_time_type_problem(part, names["time"], schema))
        found.append(_rating_type_problem(part, names["rating"], schema))
        if name := names["time"]:
            kinds.setdefault(_kind_of_time(schema[name]), part.path)
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        found.append(
            f"{second}: column {names['time']!r} holds {other}, but {one} in {first.name}; write "
            "all files alike"
        )
    return [problem for problem in found if problem]


def _kind_of_time(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "numbers"
    return "dates" if dtype.is_temporal() else "text"


def _selection(
    table: Table, schema: pl.Schema, codes: dict[Role, CodeColumn], names: dict[Role, str | None]
) -> list[pl.Expr]:
    chosen = []
    for role, column in codes.items():
        dtype = schema[column.name]
        words = text_of(column.name, dtype)
        chosen.append((pl.col(column.name) if dtype.is_integer() else words).alias(role))
        lost = pl.lit(value=False) if role == "event" else has_lost_digits(column.name, dtype)
        chosen.append(lost.alias(f"is {role}"))
    if time := names["time"]:
        raw = pl.col(time)
        is_word = isinstance(schema[time], (pl.Categorical, pl.Enum))
        chosen.append((raw.cast(pl.String) if is_word else raw).alias("time"))
    if rating := names["rating"]:
        chosen.append(pl.col(rating).alias("rating"))
    chosen.append(table.suspect.alias("short"))
    chosen.append(_repeats_header(table, [column.name for column in codes.values()]))
    return chosen


def _repeats_header(table: Table, names: list[str]) -> pl.Expr:
    """Return a mask expression of rows with id and event columns that hold the columns' names."""
    if table.form is None or len(names) < 2:
        return pl.lit(value=False).alias("is header")
    same = [pl.col(name).str.strip_chars() == name for name in names]
    return pl.all_horizontal(same).alias("is header")


def _time_type_problem(table: Table, name: str | None, schema: pl.Schema) -> str | None:
    if name is None or is_time_type(schema[name]):
        return None
    return f"{table.where}: column {name!r} is of type {schema[name]}; times are {TIME_FORMS}"


def _rating_type_problem(table: Table, name: str | None, schema: pl.Schema) -> str | None:
    if name is None or is_rating_type(schema[name]):
        return None
    return (
        f"{table.where}: column {name!r} is of type {schema[name]}; ratings must be numbers: name "
        "another column with --rating-col, or leave --min-rating out"
    )
