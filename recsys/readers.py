"""Files and folders -> Dataset. The one way from disk into recsys.

    read_dataset(Path("shop/"))                 # interactions.*, users.*, items.*
    read_dataset(Path("events.csv"), Columns(user="buyer"))

What is recognised: layout.py (file names), columns.py (spellings, event words), times.py (times).
Everything wrong with all files is collected and raised as one DataError; nothing half read leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.columns import AUTO, Columns
from recsys.errors import DataError
from recsys.event_log import read_events
from recsys.interactions import Interactions, Repeats
from recsys.layout import Layout, locate
from recsys.movielens import read_u_tables
from recsys.side_tables import Side, read_side_table
from recsys.tables import MOVIELENS_DATA, open_table

__all__ = ["Columns", "Dataset", "read_dataset"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Interactions, and what is known about users and items.

    Attributes:
        name: of the named data set, folder or file.
        interactions: the vocabulary is theirs alone; ids that occur only in a table have no
            number.
        user_table: first column `user_id` (text, unique); other columns as found. None if the
            data has no such table. It may hold personal data: never log or print it.
        item_table: the same with `item_id`.
    """

    name: str
    interactions: Interactions
    user_table: pl.DataFrame | None = None
    item_table: pl.DataFrame | None = None

    def __repr__(self) -> str:
        rows = self.interactions
        return (
            f"Dataset({self.name!r}, {rows.n_users} users, {rows.n_items} items, {len(rows)} rows)"
        )


def read_dataset(path: Path, columns: Columns = AUTO, repeats: Repeats = "drop") -> Dataset:
    """Read a folder or a file of interactions, with its user and item tables if there are any.

    Args:
        path: see layout.py for the names that are looked for.
        columns: overrides for the columns of user, item and time.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.

    Raises:
        DataError: with one line for everything that is wrong: file, place, cure.
    """
    layout = locate(path)
    problems: list[str] = []
    table = open_table(layout.interactions, problems)
    interactions = read_events(table, columns, repeats, problems) if table else None
    user_table, item_table = _side_tables(layout, columns, problems)
    if problems or interactions is None:
        raise DataError(problems)
    return Dataset(layout.name, interactions, user_table, item_table)


def _side_tables(
    layout: Layout, columns: Columns, problems: list[str]
) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    if layout.interactions.name.casefold() == MOVIELENS_DATA:
        return read_u_tables(layout.users, layout.items, problems)
    sides: tuple[tuple[Side, Path | None], ...] = (("user", layout.users), ("item", layout.items))
    frames = []
    for side, path in sides:
        table = open_table(path, problems) if path else None
        frames.append(read_side_table(table, side, columns, problems) if table else None)
    return frames[0], frames[1]
