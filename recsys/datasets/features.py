"""Encoding of columns of the user and item tables into features of the Interactions.

    with_features(dataset, items=("genres", "year"), users=("age", "zone:category"))

Only named columns are read, and never columns that identify a person (pii.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import get_args

import numpy as np
import polars as pl

from recsys.data import Dataset, Features, Floats32
from recsys.datasets.encoding import Coded, Kind, as_number, encode, guess_kind, is_prose
from recsys.datasets.pii import why_personal, why_revealing
from recsys.datasets.vectors import as_vectors
from recsys.errors import DataError
from recsys.messages import listed
from recsys.readers import Side

_USELESS = 0.99  # share of rows with a value of their own: a title, a description
_IDENTIFYING = 0.5  # share of users with a value of their own: a name or a key


def with_features(dataset: Dataset, *, items: Sequence[str], users: Sequence[str]) -> Dataset:
    """Return the dataset with features made of these columns; unchanged if no column is named.

    Args:
        dataset: the data set as read.
        items, users: column names, each perhaps with its kind: "year", "brand:category",
            "genres:list", "title:words", "price:number" (encoding.py).

    Raises:
        DataError: a table or a column is missing (existing columns are listed), a column is about
            persons, or a column teaches nothing; all problems at once. Cells are never shown.
    """
    problems: list[str] = []
    rows = dataset.interactions
    item = _features("item", items, dataset.item_table, rows.item_ids, problems)
    user = _features("user", users, dataset.user_table, rows.user_ids, problems)
    if problems:
        raise DataError([f"{dataset.name}: {problem}" for problem in problems])
    if item is None and user is None:
        return dataset
    rows = dataclasses.replace(rows, item_features=item, user_features=user)
    return dataclasses.replace(dataset, interactions=rows)


def _features(
    side: Side,
    wanted: Sequence[str],
    table: pl.DataFrame | None,
    ids: Sequence[str],
    problems: list[str],
) -> Features | None:
    if not wanted:
        return None
    if table is None:
        problems.append(
            f"{side} features are asked for ({listed(wanted)}), but there is no table of "
            f"{side}s; put {side}s.csv beside the interactions and name those interactions.csv (a "
            "file of another name is read alone, and so are wildcards), or leave them out"
        )
        return None
    key = f"{side}_id"
    if table[key].is_duplicated().any():  # a join would give its rows to the next ids
        problems.append(f"the table of {side}s has an id in several rows; keep one row per {side}")
        return None
    before = len(problems)
    said = _resolve(side, wanted, table, problems)
    frame = pl.DataFrame({key: list(ids)}).join(
        table.select(key, *said), on=key, how="left", maintain_order="left"
    )
    kinds = {
        name: kind or guess_kind(frame[name])
        for name, kind in said.items()
        if _has_values_to_use(side, frame[name], kind, problems)
    }
    wide = [name for name, kind in kinds.items() if kind == "vector"]
    coded = {
        name: _encode(side, frame[name], kind, problems)
        for name, kind in kinds.items()
        if name not in wide
    }
    dense = {name: _vectors(side, frame[name], problems) for name in wide}
    if len(problems) > before:
        return None
    found = _joined({name: part for name, part in coded.items() if part}, len(ids))
    parts = {name: part for name, part in dense.items() if part is not None}
    if not parts:
        return found
    return dataclasses.replace(
        found,
        vectors=np.concatenate(list(parts.values()), axis=1),
        vector_columns=tuple(parts),
        widths=tuple(part.shape[1] for part in parts.values()),
    )


def _vectors(side: Side, column: pl.Series, problems: list[str]) -> Floats32 | None:
    """Return the vectors (n, w) of a column; None, and a problem, if it has none."""
    place = f"{side} feature {column.name!r}"
    if side == "user":
        problems.append(f"{place}: vectors describe items only; leave it out")
        return None
    try:
        return as_vectors(column)
    except DataError as error:
        problems.append(f"{place}: {error}")
        return None


def _resolve(
    side: Side, wanted: Sequence[str], table: pl.DataFrame, problems: list[str]
) -> dict[str, Kind | None]:
    """Return the usable columns by name, each with the kind named by the user or None."""
    known = [name for name in table.columns[1:] if why_personal(side, name) is None]
    kinds: dict[str, Kind | None] = {}
    for text in wanted:
        head, colon, tail = text.rpartition(":")
        said = next((kind for kind in get_args(Kind) if colon and kind == tail), None)
        name = text if text in table.columns or not said else head
        if name in kinds:
            problems.append(f"{side} feature {name!r} is named twice; name it once")
        elif name == table.columns[0]:
            problems.append(
                f"{side} feature {name!r}: is the id, which has an embedding already; leave it out"
            )
        elif reason := why_personal(side, name):
            problems.append(f"{side} feature {name!r}: {reason}, so it is never used; leave it out")
        elif name not in known:
            problems.append(
                f"{side} feature {text!r}: no such column; there are: {listed(known) or 'none'} "
                f"(with :{', :'.join(get_args(Kind))} to say how one is read)"
            )
        else:
            kinds[name] = None if name == text else said
    return kinds


def _has_values_to_use(
    side: Side, column: pl.Series, kind: Kind | None, problems: list[str]
) -> bool:
    """Return True if the type of a column allows features of its kind; else add a problem."""
    place = f"{side} feature {column.name!r}"
    simple = column.dtype.inner if isinstance(column.dtype, pl.List | pl.Array) else column.dtype
    if simple.is_nested() or simple in (pl.Binary, pl.Object):
        problems.append(f"{place}: is of type {column.dtype}; give text, numbers or lists of them")
        return False
    if kind == "number" and simple != column.dtype:
        problems.append(
            f"{place}: holds lists, and :number takes one number a cell; leave :number out"
        )
        return False
    return True


def _encode(side: Side, column: pl.Series, kind: Kind, problems: list[str]) -> Coded | None:
    place = f"{side} feature {column.name!r}"
    if kind == "words" and column.dtype == pl.List(pl.String):
        column = column.list.join(" ", ignore_nulls=True)
    in_lists = isinstance(column.dtype, pl.List | pl.Array)
    cells = column.explode() if in_lists else column
    if cells.dtype in (pl.String, pl.Categorical, pl.Enum) and (
        reason := why_revealing(cells.cast(pl.String), numbers=side == "user" or not in_lists)
    ):
        problems.append(f"{place}: {reason}, so it is never used; leave it out")
        return None
    if kind == "number" and column.count() and not as_number(column).count():
        problems.append(f"{place}: none of its cells is a number; leave :number out")
        return None
    if kind == "words" and column.dtype != pl.String:
        problems.append(
            f"{place}: is of type {column.dtype}, and words are in text; leave :words out"
        )
        return None
    coded = encode(column, kind)
    # Many people share a first name or a last name, but the whole cell identifies a person.
    in_parts = kind == "words" or (kind == "list" and is_prose(column))
    whole = encode(column, "category") if in_parts else coded
    if not coded.size or coded.unshared > _USELESS:
        cure = "leave it out"
        is_text = side == "item" and column.dtype == pl.String and kind != "words"
        if is_text and encode(column, "words").size:
            cure = f"take its words, with {column.name}:words, or {cure}"
        problems.append(
            f"{place}: hardly any two {side}s share a value, so it teaches nothing; {cure}"
        )
    elif side == "user" and whole.unshared > _IDENTIFYING:
        problems.append(
            f"{place}: {whole.unshared:.0%} of the users have a value that nobody else has, so it "
            "tells who they are; leave it out"
        )
    return coded


def _joined(parts: dict[str, Coded], n: int) -> Features:
    if not parts:
        return Features(np.empty(0, np.int32), np.zeros(n + 1, np.int64), (), ())
    sizes = tuple(part.size for part in parts.values())
    shifts = np.cumsum([0, *sizes])
    rows = np.concatenate([part.rows for part in parts.values()])
    codes = np.concatenate(
        [part.codes + shift for part, shift in zip(parts.values(), shifts, strict=False)]
    )
    order = np.lexsort((codes, rows))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    return Features(codes[order].astype(np.int32), offsets.astype(np.int64), tuple(parts), sizes)
