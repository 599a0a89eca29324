"""Reading of a table of interactions into Events, in one pass of bounded memory.

Ids become category codes while polars reads, so 50M rows cost 4 bytes per id and no Python loop
runs over rows; only the vocabularies are sorted in Python.
"""

from __future__ import annotations

import shlex

import numpy as np
import polars as pl

from recsys.data.events import Events
from recsys.messages import SHOWN, listed
from recsys.readers.categorical import CodeColumn
from recsys.readers.columns import (
    RATINGS,
    Columns,
    Role,
    find_column,
    is_data,
    matching_columns,
    squeeze,
)
from recsys.readers.tables import Table, explain, read_failures
from recsys.readers.timestamps import TIME_FORMS, TimeColumn
from recsys.readers.validation import Parts, check_parts

_MOST_RATINGS = 12  # different values of a scale: half stars from 0 to 5 are 11
_LOOKED_AT = 10_000  # rows by which the finest of several time columns is found


def read_events(
    table: Table, columns: Columns, problems: list[str], fewest: int = 2
) -> Events | None:
    """Read all rows of a table of interactions.

    Args:
        table: the table.
        columns: the user's overrides of column names.
        problems: list that receives a line for each problem found.
        fewest: smallest number of users and of items, so that a wrong column is noticed.

    Returns:
        The rows, or None (and at least one problem) if anything is wrong with them.
    """
    before = len(problems)
    if all(map(is_data, table.names)):
        problems.append(
            f"{table.path}: the first line looks like data ({listed(table.names)}); "
            "add a header line such as user_id,item_id,timestamp"
        )
        return None
    roles: tuple[Role, ...] = ("user", "item", "time", "event")
    advice = _finest_time(table) if columns.time is None else ""
    names = {
        role: find_column(
            role, table.names, str(table.path), columns, problems, advice if role == "time" else ""
        )
        for role in roles
    }
    chosen = [name for name in names.values() if name]
    if len(set(chosen)) < len(chosen):
        problems.append(
            f"{table.path}: one column would play two roles ({listed(chosen)}); "
            "check --user-col, --item-col and --time-col"
        )
    # If a column is missing, the others are read all the same, to report all problems at once;
    # but if lines are ragged, cells are in the wrong columns and are not checked.
    before_reading = len(problems)
    parts = _read_with_quotes_or_without(table, names, problems)
    if parts is None or len(problems) > before_reading:
        return None
    events = check_parts(table, parts, problems, fewest)
    return None if len(problems) > before else events


def _finest_time(table: Table) -> str:
    """Return advice to name the time column with the most distinct values, if there are several."""
    found = matching_columns("time", table.names)
    if len(found) < 2:
        return ""
    try:
        rows = table.scan().select(pl.col(found).cast(pl.String)).head(_LOOKED_AT).collect()
    except read_failures():
        return ""  # the read of all rows, which follows, fails too and explains the error
    finest = max(found, key=lambda name: rows[name].n_unique())
    return f" (the finest is --time-col {shlex.quote(finest)})"


def text_of(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return the expression of an id column as stripped text.

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
    return f"{table.path}: column {name!r} is of type {dtype}; ids must be text or numbers"


def _read_with_quotes_or_without(
    table: Table, names: dict[Role, str | None], problems: list[str]
) -> Parts | None:
    try:
        return _read(table, names, problems)
    except read_failures() as error:
        plain = table.without_quotes()
        if plain is not None:
            try:
                return _read(plain, names, problems)
            except read_failures():
                pass  # the first error is explained below
        explain(table, error, problems)
        return None


def _read(table: Table, names: dict[Role, str | None], problems: list[str]) -> Parts | None:
    schema = table.scan().collect_schema()
    coded: tuple[Role, ...] = ("user", "item", "event")
    codes = {role: CodeColumn(name) for role in coded if (name := names[role])}
    wrong = [id_type_problem(table, column.name, schema[column.name]) for column in codes.values()]
    wrong.append(_time_type_problem(table, names["time"], schema))
    if any(wrong):
        problems.extend(problem for problem in wrong if problem)
        return None
    time, n_rows, short = TimeColumn(), 0, False
    headers: list[int] = []
    for batch in table.batches(_selection(table, codes, names["time"], schema)):
        for role, column in codes.items():
            column.add(batch[role])
        if names["time"]:
            time.add(batch["time"], SHOWN)
        short = short or bool(batch["short"].any())
        if batch["header"].any():
            headers.extend((np.flatnonzero(batch["header"].to_numpy()) + n_rows).tolist())
        n_rows += batch.height
    blank = table.irregular(problems) if short else np.empty(0, np.int64)
    if headers:
        verb = "repeats" if len(headers) == 1 else "repeat"
        problems.append(
            f"{table.path}: {table.places(headers)} {verb} the header (files put together?); "
            "delete each such line"
        )
    ratings = [
        name for name in table.names if squeeze(name) in RATINGS and name not in names.values()
    ]
    told = tuple(text for name in ratings if (text := _low_ratings(table, name)))
    return Parts(codes, names["time"], time, n_rows, blank, told)


def _low_ratings(table: Table, name: str) -> str | None:
    """Return the distribution of an unused rating column, or None unless it has several values."""
    value = pl.col(name).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    rows = table.scan().select(value.alias("value")).filter(pl.col("value").is_finite())
    counts = rows.group_by("value").len().sort("value").collect(engine="streaming")
    if not 2 <= len(counts) <= _MOST_RATINGS:
        return None  # all alike, or no scale
    total = counts["len"].sum()
    shares = ", ".join(f"{each:g}: {n / total:.0%}" for each, n in counts.iter_rows())
    return (
        f"ratings: column {name!r} is not used, so a low rating counts as interest like a high "
        f"one ({shares}); delete the rows that show no interest"
    )


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
    # polars silently fills missing fields with "". A line that is blank or too short has an empty
    # last field, so only a file with such fields is read a second time.
    last = pl.col(table.names[-1])
    chosen.append((last == "" if table.form else pl.lit(value=False)).alias("short"))
    chosen.append(_repeats_header(table, [column.name for column in codes.values()]))
    return chosen


def _repeats_header(table: Table, names: list[str]) -> pl.Expr:
    """Return a mask expression of rows with id and event columns that hold the columns' names."""
    if table.form is None or len(names) < 2:
        return pl.lit(value=False).alias("header")
    same = [pl.col(name).str.strip_chars() == name for name in names]
    return pl.all_horizontal(same).alias("header")


def _words_of(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name) if dtype.is_integer() else text_of(name, dtype)


def _time_type_problem(table: Table, name: str | None, schema: pl.Schema) -> str | None:
    if name is None:
        return None
    kinds = (pl.String, pl.Categorical, pl.Enum, pl.Date, pl.Datetime)
    if schema[name].is_numeric() or isinstance(schema[name], kinds):
        return None
    return f"{table.path}: column {name!r} is of type {schema[name]}; times are {TIME_FORMS}"
