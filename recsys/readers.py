"""Files and folders -> Dataset. The one way from disk into recsys.

    read_dataset(Path("shop/"))                 # interactions.*, users.*, items.*
    read_dataset(Path("events.csv"), Columns(user="buyer"))

What is recognised: layout.py (file names), columns.py (spellings, event words), times.py (times).
Everything wrong with all files is collected and raised as one DataError; nothing half read leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.adjacency import EXTENSION as ADJACENCY
from recsys.adjacency import open_adjacency
from recsys.columns import AUTO, Columns, listed
from recsys.errors import DataError
from recsys.event_log import read_events
from recsys.events import Events, ReadyMade, join, without_equal_times
from recsys.holding_out import TEST, TRAIN, VALIDATION, Parts
from recsys.interactions import Interactions, Repeats
from recsys.layout import Layout, locate
from recsys.movielens import read_u_tables
from recsys.reading_notes import notes
from recsys.side_tables import Side, read_side_table
from recsys.split_files import SplitFiles
from recsys.tables import MOVIELENS_DATA, extension_of, open_table

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
        ready_made: which part of the ready-made split each row came in; None if the data came
            in one piece.
        notes: lines for people on what reading did: rows read and left out, columns not used.
    """

    name: str
    interactions: Interactions
    user_table: pl.DataFrame | None = None
    item_table: pl.DataFrame | None = None
    ready_made: ReadyMade | None = None
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> Parts | None:
        """(n,) int8, each row's part, for `recsys.split.split`; None: there is no such split."""
        return self.ready_made.parts if self.ready_made else None

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
    if layout.split:
        files = _split_events(layout.split, columns, problems)
    else:
        files = _events({TRAIN: layout.interactions}, columns, problems)
    user_table, item_table = _side_tables(layout, columns, problems)
    if problems:
        raise DataError(problems)
    ready_made = None
    if layout.split:
        interactions, ready_made = join(without_equal_times(files), repeats)
    else:
        interactions = without_equal_times(files)[TRAIN].interactions(repeats)
    told = notes(files.values(), interactions, ready_made)
    return Dataset(layout.name, interactions, user_table, item_table, ready_made, told)


def _events(paths: Mapping[int, Path], columns: Columns, problems: list[str]) -> dict[int, Events]:
    """Part of the split -> rows of its file; files with problems are left out."""
    found = {}
    for part, path in paths.items():
        is_adjacency = extension_of(path) == ADJACENCY
        table = open_adjacency(path, problems) if is_adjacency else open_table(path, problems)
        fewest = 2 if part == TRAIN else 1  # a test of one user is small, not wrong
        events = read_events(table, columns, problems, fewest) if table else None
        if events is not None:
            found[part] = events
    return found


def _split_events(split: SplitFiles, columns: Columns, problems: list[str]) -> dict[int, Events]:
    paths = {TRAIN: split.train, VALIDATION: split.validation, TEST: split.test}
    given = {part: path for part, path in paths.items() if path is not None}
    found = _events(given, columns, problems)
    timed = [given[part].name for part, events in found.items() if events.times is not None]
    untimed = [given[part].name for part, events in found.items() if events.times is None]
    if timed and untimed:
        problems.append(
            f"{split.train.parent}: {listed(timed)} have times, {listed(untimed)} have none; give "
            "all files a time column, or none (name it with --time-col if it is not recognised)"
        )
    return found


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
