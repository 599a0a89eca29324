"""Tables of users and items, read whole: the id column first and as text, other columns as found.

Messages never show cells of a user table (names, e-mails), only its lines and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from recsys.data import Bools
from recsys.messages import SHOWN, listed
from recsys.readers.columns import (
    FURTHER,
    OTHER_LANGUAGES,
    SIDE_TABLE_ID,
    SPELLINGS,
    Columns,
    is_data,
    spelled,
)
from recsys.readers.event_log import id_type_problem
from recsys.readers.ids import (
    IN_QUOTES,
    LOST_DIGITS,
    NO_ID,
    are_whole_floats,
    has_lost_digits,
    id_faults,
    in_quotes,
    text_of,
    without_fraction,
)
from recsys.readers.tables.damage import explain
from recsys.readers.tables.json_lines import JsonTable, with_lists
from recsys.readers.tables.table import READ_ERRORS, Table

Side = Literal["user", "item"]


def read_side_table(
    table: Table, side: Side, columns: Columns, problems: list[str], remarks: list[str]
) -> pl.DataFrame | None:
    """Read a user or item table.

    Args:
        table: the table.
        side: "user" or "item".
        columns: the user's overrides of column names.
        problems: list that receives a line for each problem found.
        remarks: list that receives a line on quoted texts that may hold rows.

    Returns:
        A frame with `user_id` or `item_id` (text, unique) as first column, or None (and at least
        one problem) if the table cannot be used. Other columns keep names and order; text columns
        of numbers alone become numbers, JSON arrays become lists, "" becomes null.
    """
    before = len(problems)
    name = _id_column(table, side, columns, problems)
    whole = _whole(table, name, problems, remarks) if name else None
    if name is None or whole is None:
        return None
    table, frame = whole
    wrong = id_type_problem(table, name, frame.schema[name])
    if wrong:
        problems.append(wrong)
        return None
    keep = np.ones(frame.height, np.bool_)
    # Blank and short lines end in an empty field; see event_log.py.
    if table.form and (frame.to_series(-1) == "").any():
        keep[table.irregular(problems)] = False
    lost = frame.select(has_lost_digits(name, frame.schema[name])).to_series()
    if lost.any():
        places = table.places(lost.arg_true().to_numpy())
        problems.append(f"{table.where}: {places}, column {name!r}: {LOST_DIGITS}")
        return None
    ids = frame.select(text_of(name, frame.schema[name])).to_series()
    if are_whole_floats(ids.filter(pl.Series(keep))):
        ids = without_fraction(ids)
    keep &= _usable_ids(table, f"column {name!r}", side, frame[name], ids, keep, problems)
    if len(problems) > before:
        return None
    others = frame.drop(name, f"{side}_id", strict=False)
    if isinstance(table, JsonTable):
        others = others.select(with_lists(column) for column in others)
    if table.is_text:
        others = others.select(_as_number(column) for column in others)
    return others.insert_column(0, ids.alias(f"{side}_id")).filter(keep)


def _id_column(table: Table, side: Side, columns: Columns, problems: list[str]) -> str | None:
    asked = columns.named(side)
    # Overrides are meant for the interactions; the side table need not have such a column.
    found = [asked] if asked in table.names else []
    for known in (SPELLINGS[side], (SIDE_TABLE_ID,), FURTHER[side], OTHER_LANGUAGES[side]):
        found = found or spelled(known, table.names)
    if table.form and _is_row(table.names, found):  # not shown: it may hold somebody's name
        problems.append(
            f"{table.where}: line 1 looks like data; add a header line that names the {side}_id"
        )
        return None
    if len(found) == 1:
        return found[0]
    trouble = f"{listed(found)} all look like the" if found else "no"
    problems.append(
        f"{table.where}: {trouble} {side} id column; columns found: {listed(table.names)}; "
        f"name one of them {side}_id, or pass --{side}-col"
    )
    return None


def _is_row(names: Sequence[str], id_columns: Sequence[str]) -> bool:
    """Return True if the names of a text table's columns are the cells of a row.

    A number may well be a name, such as a year beside the id column; an e-mail address never is.
    """
    like_data = [name for name in names if is_data(name)]
    has_id = any(name not in like_data for name in id_columns)
    return any("@" in name for name in like_data) or (bool(like_data) and not has_id)


def _whole(
    table: Table, name: str, problems: list[str], remarks: list[str]
) -> tuple[Table, pl.DataFrame] | None:
    """Return the table in the form in which it can be read, and all of its rows."""
    try:
        frame = table.scan().collect()
    except READ_ERRORS as error:
        if other := table.without_quotes():
            try:
                return _without_ids_in_quotes(other, other.scan().collect(), name, problems)
            except READ_ERRORS:
                pass  # the first error is explained
        explain(table, error, problems)
        return None
    remarks += table.hidden_lines(frame.height)
    return table, frame


def _without_ids_in_quotes(
    table: Table, frame: pl.DataFrame, name: str, problems: list[str]
) -> tuple[Table, pl.DataFrame] | None:
    """Return a table whose quotes are letters, and its rows; None if they wrap an id."""
    wrapped = frame.select(in_quotes(name)).to_series()
    if not wrapped.any():
        return table, frame
    places = table.places(wrapped.arg_true().to_numpy())
    problems.append(f"{table.where}: {places}, column {name!r}: {IN_QUOTES}")
    return None


def _usable_ids(
    table: Table,
    column: str,
    side: Side,
    raw: pl.Series,
    ids: pl.Series,
    keep: Bools,
    problems: list[str],
) -> Bools:
    """Report missing and repeated ids; return True at the first row of each id."""
    if not keep.any():
        problems.append(f"{table.where}: has a header but no rows; fill it or remove the file")
    missing = keep & ids.str.to_lowercase().is_in(list(NO_ID)).to_numpy()
    if missing.any():
        places = table.places(np.flatnonzero(missing))
        problems.append(
            f"{table.where}: {places}, {column}: no {side} id; fill it in or delete the row"
        )
    for wrong, text in id_faults(ids.set(pl.Series(~keep), "")):
        places = table.places(wrong.arg_true().to_numpy())
        problems.append(f"{table.where}: {places}, {column}: {text}")
    repeated = keep & ~missing & ~raw.is_first_distinct().to_numpy()
    if repeated.any():
        places = table.places(np.flatnonzero(repeated))
        # an item's id is no secret; a user's id may be an e-mail address
        again = ids.filter(pl.Series(repeated)).unique(maintain_order=True).to_list()
        which = f" ({listed(again, SHOWN)})" if side == "item" else ""
        problems.append(
            f"{table.where}: {places}, {column}: the {side} id{which} was in an earlier row; keep "
            f"one row per {side}"
        )
    # Ids that differ only in surrounding blanks ("47503J " in UCI's retail data) are one id.
    return ids.is_first_distinct().to_numpy()


def _as_number(column: pl.Series) -> pl.Series:
    """Return a text column as Int64 or Float64 if all filled cells are plain numbers, else as text.

    Empty cells become null. Lists stay as they are.
    """
    if column.dtype != pl.String:
        return column
    text = column.str.strip_chars()
    text = text.set(text == "", None)
    # 007 is a code, not seven: a number would lose its zeros.
    if text.str.contains(r"^[+-]?0\d|^[^\d.+-]").any():
        return text
    for kind in (pl.Int64, pl.Float64):
        number = text.cast(kind, strict=False)
        if number.null_count() == text.null_count():
            return number if number.count() else text
    return text
