"""A table of interactions -> Events, in one bounded-memory pass, or a list of what is wrong.

Ids become category codes while polars reads, so 50M rows cost 4 bytes an id and no Python loop
runs over rows; only the vocabularies are sorted in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.codes import CodeColumn
from recsys.columns import (
    EVENT_WEIGHTS,
    Columns,
    Role,
    event_weight,
    find_column,
    is_data,
    listed,
    shorten,
)
from recsys.events import Events
from recsys.interactions import Bools, Floats32, Ints32, Ints64, sorted_ids
from recsys.tables import SHOWN, Table, and_more, explain, read_failures
from recsys.times import TIME_FORMS, TimeColumn

NO_ID = frozenset({"", "nan", "null", "none", "<na>"})
_ID_ROLES: tuple[Role, ...] = ("user", "item")


@dataclass(frozen=True)
class _Parts:
    """What one pass over the file yields."""

    codes: dict[Role, CodeColumn]
    time_name: str | None
    time: TimeColumn
    n_rows: int
    blank: Ints64


def read_events(
    table: Table, columns: Columns, problems: list[str], fewest: int = 2
) -> Events | None:
    """Read all rows; None, and at least one problem, if anything is wrong with them.

    Args:
        fewest: users and items that there must be, so that a wrong column is noticed.
    """
    before = len(problems)
    if all(map(is_data, table.names)):
        problems.append(
            f"{table.path}: the first line looks like data ({listed(table.names)}); "
            "add a header line such as user_id,item_id,timestamp"
        )
        return None
    roles: tuple[Role, ...] = ("user", "item", "time", "event")
    names = {
        role: find_column(role, table.names, str(table.path), columns, problems) for role in roles
    }
    chosen = [name for name in names.values() if name]
    if len(set(chosen)) < len(chosen):
        problems.append(
            f"{table.path}: one column would play two roles ({listed(chosen)}); "
            "check --user-col, --item-col and --time-col"
        )
    # Even where a column is missing the others are read, to tell all problems at once; but where
    # lines are ragged, what stands in which column means nothing.
    before_reading = len(problems)
    parts = _read_with_quotes_or_without(table, names, problems)
    if parts is None or len(problems) > before_reading:
        return None
    events = _check_parts(table, parts, problems, fewest)
    return None if len(problems) > before else events


def text_of(name: str, dtype: pl.DataType) -> pl.Expr:
    """An id column as stripped text: 7 -> "7", 7.0 -> "7", "007" stays, null -> ""."""
    column = pl.col(name)
    if dtype.is_float():
        # pandas turns a column of whole numbers with one gap into floats; they are still ids.
        whole = column.cast(pl.Int64, strict=False)
        column = pl.when(whole == column).then(whole.cast(pl.String)).otherwise(
            column.cast(pl.String)
        )  # fmt: skip
    return column.cast(pl.String).str.strip_chars().fill_null("")


def id_type_problem(table: Table, name: str, dtype: pl.DataType) -> str | None:
    """Why this column can hold no ids, or None."""
    simple = dtype.is_numeric() or isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))
    if simple:
        return None
    return f"{table.path}: column {name!r} is of type {dtype}; ids must be text or numbers"


def _read_with_quotes_or_without(
    table: Table, names: dict[Role, str | None], problems: list[str]
) -> _Parts | None:
    try:
        return _read(table, names, problems)
    except read_failures() as error:
        plain = table.without_quotes()
        if plain is not None:
            try:
                return _read(plain, names, problems)
            except read_failures():
                pass  # the first error is the one to explain
        explain(table, error, problems)
        return None


def _read(table: Table, names: dict[Role, str | None], problems: list[str]) -> _Parts | None:
    schema = table.scan().collect_schema()
    coded: tuple[Role, ...] = ("user", "item", "event")
    codes = {role: CodeColumn(name) for role in coded if (name := names[role])}
    wrong = [id_type_problem(table, column.name, schema[column.name]) for column in codes.values()]
    wrong.append(_time_type_problem(table, names["time"], schema))
    if any(wrong):
        problems.extend(problem for problem in wrong if problem)
        return None
    time, n_rows, short = TimeColumn(), 0, False
    for batch in table.batches(_selection(table, codes, names["time"], schema)):
        for role, column in codes.items():
            column.add(batch[role])
        if names["time"]:
            time.add(batch["time"], SHOWN)
        short = short or bool(batch["short"].any())
        n_rows += batch.height
    blank = table.irregular(problems) if short else np.empty(0, np.int64)
    return _Parts(codes, names["time"], time, n_rows, blank)


def _selection(
    table: Table, codes: dict[Role, CodeColumn], time: str | None, schema: pl.Schema
) -> list[pl.Expr]:
    chosen = [
        _words_of(column.name, schema[column.name]).alias(role) for role, column in codes.items()
    ]
    if time:
        raw = pl.col(time)
        is_word = isinstance(schema[time], (pl.Categorical, pl.Enum))
        chosen.append((raw.cast(pl.String) if is_word else raw).alias("time"))
    # polars fills missing fields with "" in silence. A line that is blank or too short has an
    # empty last field, so only a file with such fields is looked at a second time.
    last = pl.col(table.names[-1])
    chosen.append((last == "" if table.form else pl.lit(value=False)).alias("short"))
    return chosen


def _words_of(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name) if dtype.is_integer() else text_of(name, dtype)


def _time_type_problem(table: Table, name: str | None, schema: pl.Schema) -> str | None:
    if name is None:
        return None
    kinds = (pl.String, pl.Categorical, pl.Enum, pl.Date, pl.Datetime)
    if schema[name].is_numeric() or isinstance(schema[name], kinds):
        return None
    return f"{table.path}: column {name!r} is of type {schema[name]}; times are {TIME_FORMS}"


def _check_parts(table: Table, parts: _Parts, problems: list[str], fewest: int) -> Events | None:
    """None if there is nothing to build from."""
    keep = np.ones(parts.n_rows, np.bool_)
    keep[parts.blank] = False
    weights = None
    if "event" in parts.codes:
        weights = _weights(table, parts.codes["event"], keep, problems)
        keep &= weights > 0
    _report_times(table, parts, problems)
    if not keep.any():
        problems.append(f"{table.path}: {_why_none(parts, weights)}")
        return None
    found = {
        role: _vocabulary(table, parts.codes[role], role, keep, problems, fewest)
        for role in _ID_ROLES
        if role in parts.codes
    }
    if len(found) < len(_ID_ROLES):
        return None
    (user_ids, users), (item_ids, items) = found["user"], found["item"]
    rows = slice(None) if keep.all() else keep
    times = parts.time.microseconds()[rows] if parts.time_name else None
    kept_weights = None if weights is None else weights[rows]
    n_returns = parts.n_rows - len(parts.blank) - int(keep.sum())
    used = {parts.time_name, *(column.name for column in parts.codes.values())}
    unused = tuple(name for name in table.names if name not in used)
    return Events(users, items, times, kept_weights, user_ids, item_ids, n_returns, unused)


def _why_none(parts: _Parts, weights: Floats32 | None) -> str:
    n_rows, event = parts.n_rows - len(parts.blank), parts.codes.get("event")
    if weights is None or event is None or not n_rows:
        return "has a header but no rows; it needs interactions"
    returns = f"are returns or cancellations by column {event.name!r}, and those are left out"
    return f"all of its rows ({n_rows:,}) {returns}; it needs interactions"


def _vocabulary(
    table: Table, column: CodeColumn, role: Role, keep: Bools, problems: list[str], fewest: int
) -> tuple[list[str], Ints32]:
    """Ids of the kept rows in vocabulary order, and each kept row's position among them."""
    words, codes = column.finish()
    kept = codes if keep.all() else codes[keep]
    used = np.zeros(len(words), np.bool_)
    used[kept] = True
    no_id = [number for number, word in enumerate(words) if word.casefold() in NO_ID]
    missing = [number for number in no_id if used[number]]
    for number in missing:
        rows = np.flatnonzero(keep & (codes == number))
        problems.append(
            f"{table.path}: {table.places(rows)}, column {column.name!r}: {words[number]!r} is no "
            f"{role} id; fill it in or delete the row"
        )
    used[no_id] = False
    ids = sorted_ids([words[number] for number in np.flatnonzero(used)])
    if len(ids) == 1 < fewest and not missing:
        problems.append(
            f"{table.path}: column {column.name!r} holds one {role} only ({shorten(ids[0])!r}); "
            f"at least 2 are needed; is this the right column (--{role}-col)?"
        )
    position = {word: number for number, word in enumerate(ids)}
    rank = np.array([position.get(word, -1) for word in words], np.int32)
    return ids, rank[kept]


def _weights(table: Table, column: CodeColumn, keep: Bools, problems: list[str]) -> Floats32:
    """(n,) float32 for all rows of the file; 0 marks a row that speaks against interest."""
    words, codes = column.finish()
    weights = [event_weight(word) for word in words]
    unknown = [number for number, weight in enumerate(weights) if weight is None]
    rows = np.flatnonzero(keep & np.isin(codes, unknown))
    if len(rows):
        named = [words[number] for number in np.unique(codes[rows])]
        problems.append(
            f"{table.path}: {table.places(rows)}, column {column.name!r}: "
            f"{listed(named, SHOWN)} is no known event; allowed are "
            f"{', '.join(EVENT_WEIGHTS)}; change the words, or rename or remove the column"
        )
    return np.array([1.0 if w is None else w for w in weights], np.float32)[codes]


def _report_times(table: Table, parts: _Parts, problems: list[str]) -> None:
    time, column = parts.time, f"column {parts.time_name!r}"
    missing = np.setdiff1d(time.missing, parts.blank)
    if len(missing):
        problems.append(
            f"{table.path}: {table.places(missing)}, {column}: no time; fill it in or delete "
            "the row"
        )
    if len(time.unreadable):
        lines = table.line_numbers(time.unreadable)
        shown = zip(lines, time.samples, strict=True)
        places = ", ".join(f"{table.row_word} {line} {shorten(text)!r}" for line, text in shown)
        problems.append(
            f"{table.path}: {column}: not a time: {places}{and_more(len(time.unreadable))}; "
            f"write {TIME_FORMS}, or delete the rows"
        )
    problems.extend(f"{table.path}: {column}: {text}" for text in _unsettled_times(table, time))


def _unsettled_times(table: Table, time: TimeColumn) -> Iterator[str]:
    """Times that can be read, but in two ways; nothing in the file says which."""
    unit, others = time.other_units()
    for other, rows in others:
        yield (
            f"numbers in two units: {len(rows):,} of {len(time):,} look like {other} since 1970 "
            f"({table.places(rows)}), the largest like {unit}; write all of them in one unit"
        )
    days, months, either = (
        ", ".join(
            f"{table.row_word} {line} {shorten(text)!r}"
            for line, (_, text) in zip(
                table.line_numbers(np.array([row for row, _ in places.first], np.int64)),
                places.first,
                strict=True,
            )
        )
        if places.count
        else ""
        for places in (time.dates.day_first, time.dates.month_first, time.dates.either)
    )
    if days and months:
        yield (
            f"dates in two orders: {time.dates.day_first.count:,} have the day first ({days}), "
            f"{time.dates.month_first.count:,} the month ({months}); write them as 2024-10-25"
        )
    elif either and not days and not months:
        yield (
            f"day and month cannot be told apart: no date of {time.dates.either.count:,} has a "
            f"number above 12 there ({either}); write them as 2024-10-25"
        )
