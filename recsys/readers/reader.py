"""Reading of files and folders into a Dataset: the one way from disk into recsys.

    read_dataset(Path("shop/"))                 # interactions.*, users.*, items.*
    read_dataset(Path("events.csv"), Columns(user="buyer"))

discovery.py recognises file names, columns.py spellings and event words, timestamps.py times.
The problems of all files are collected and raised as one DataError; no half-read data is returned.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data import (
    TEST,
    TRAIN,
    VALIDATION,
    Dataset,
    Events,
    Interactions,
    ReadyMade,
    Repeats,
    join,
    without_equal_times,
)
from recsys.errors import DataError
from recsys.messages import count, listed
from recsys.readers.columns import AUTO, Columns
from recsys.readers.discovery import Layout, SplitFiles, locate
from recsys.readers.event_log import read_events
from recsys.readers.item_arrays import with_item_arrays
from recsys.readers.movielens import read_dat_tables, read_u_tables
from recsys.readers.paths import extension_of
from recsys.readers.side_tables import Side, read_side_table
from recsys.readers.tables.adjacency import EXTENSION as ADJACENCY, open_adjacency
from recsys.readers.tables.frame import FrameTable
from recsys.readers.tables.netflix import is_netflix
from recsys.readers.tables.opening import MOVIELENS_DATA, RATINGS_DAT, open_table
from recsys.readers.tables.parted import open_parted
from recsys.readers.tables.table import Table

__all__ = ["Columns", "Dataset", "read_dataset"]


def read_dataset(
    path: Path,
    columns: Columns = AUTO,
    repeats: Repeats = "drop",
    min_rating: float | None = None,
) -> Dataset:
    """Read a folder or a file of interactions, with its user and item tables if there are any.

    Args:
        path: a folder or a file; discovery.py lists the names that are recognised.
        columns: overrides for the columns and their forms.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.
        min_rating: lowest rating that counts as interest; None if ratings do not count.

    Raises:
        DataError: one line for each problem: file, place, cure.
    """
    layout = locate(path)
    problems: list[str] = []
    asked = _Asked(columns, min_rating)
    if layout.split:
        files = _split_events(layout.split, asked, problems)
    else:
        files = _events({TRAIN: layout.interactions}, asked, problems, layout.parts)
    remarks: list[str] = []
    if layout.beside:
        names = listed([file.name for file in layout.beside])
        remarks.append(f"not read: {names}, of another form than the files in folders KEY=VALUE")
    user_table, item_table = _side_tables(layout, columns, problems, remarks)
    if layout.item_arrays:
        item_table = with_item_arrays(item_table, layout.item_arrays, problems)
    if problems:
        raise DataError(problems)
    ready_made: ReadyMade | None = None
    if layout.split:
        interactions, ready_made = join(without_equal_times(files), repeats)
    else:
        interactions = without_equal_times(files)[TRAIN].interactions(repeats)
    told = (*notes(files.values(), interactions, ready_made), *remarks)
    used = _columns_line(files.values(), interactions)
    return Dataset(layout.name, interactions, user_table, item_table, ready_made, told, used)


def read_frame(
    frame: pl.DataFrame,
    label: str,
    columns: Columns = AUTO,
    repeats: Repeats = "drop",
    min_rating: float | None = None,
) -> Dataset:
    """Read interactions from a table in memory, such as the result of a query.

    Args:
        frame: the rows; the order of rows that have one user and one time counts.
        label: name of the table in messages and of the data set.
        columns: overrides for the columns and their forms.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.
        min_rating: lowest rating that counts as interest; None if ratings do not count.

    Raises:
        DataError: one line for each problem: label, row, cure.
    """
    problems: list[str] = []
    table = FrameTable(Path(), tuple(frame.columns), None, frame=frame, label=label)
    events = read_events(table, columns, problems, min_rating=min_rating)
    if problems or events is None:
        raise DataError(problems)
    interactions = without_equal_times({TRAIN: events})[TRAIN].interactions(repeats)
    told, used = notes([events], interactions, None), _columns_line([events], interactions)
    return Dataset(label, interactions, notes=told, columns=used)


@dataclass(frozen=True)
class _Asked:
    """The user's wishes on columns and ratings."""

    columns: Columns
    min_rating: float | None


def _events(
    paths: Mapping[int, Path], asked: _Asked, problems: list[str], parts: Sequence[Path] = ()
) -> dict[int, Events]:
    """Return the rows of each part's file, without the files that have problems."""
    found = {}
    for part, path in paths.items():
        table = _opened(path, parts, problems, header=asked.columns.header)
        fewest = 2 if part == TRAIN else 1  # a test file of one user is small, not wrong
        if table is None:
            continue
        events = read_events(table, asked.columns, problems, fewest, asked.min_rating)
        if events is not None:
            found[part] = events
    return found


def _opened(
    path: Path, parts: Sequence[Path], problems: list[str], *, header: bool
) -> Table | None:
    """Return the table in a file, or in the parts of a folder; None if there are problems."""
    if parts:
        return open_parted(path, parts, problems, header=header)
    if extension_of(path) == ADJACENCY and header and not is_netflix(path):
        return open_adjacency(path, problems)
    return open_table(path, problems, header=header)


def _split_events(split: SplitFiles, asked: _Asked, problems: list[str]) -> dict[int, Events]:
    paths = {TRAIN: split.train, VALIDATION: split.validation, TEST: split.test}
    given = {part: path for part, path in paths.items() if path is not None}
    found = _events(given, asked, problems)
    timed = [given[part].name for part, events in found.items() if events.times is not None]
    untimed = [given[part].name for part, events in found.items() if events.times is None]
    if timed and untimed:
        problems.append(
            f"{split.train.parent}: {listed(timed)} have times, {listed(untimed)} have none; give "
            "all files a time column, or none (name it with --time-col if it is not recognised)"
        )
    return found


def _side_tables(
    layout: Layout, columns: Columns, problems: list[str], remarks: list[str]
) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    name = layout.interactions.name.casefold().removesuffix(".gz")
    if name == MOVIELENS_DATA:
        return read_u_tables(layout.users, layout.items, problems)
    if name == RATINGS_DAT:
        return read_dat_tables(layout.users, layout.items, problems, remarks)
    sides: tuple[tuple[Side, Path | None], ...] = (("user", layout.users), ("item", layout.items))
    frames = []
    for side, path in sides:
        table = open_table(path, problems) if path else None
        frames.append(read_side_table(table, side, columns, problems, remarks) if table else None)
    return frames[0], frames[1]


def _columns_line(files: Collection[Events], kept: Interactions) -> str:
    """Return a line on the columns of each role, and the first and last day of the times."""
    roles = dict.fromkeys(used for file in files for used in file.used)
    told = ", ".join(f"{role} {name!r}" for role, name in roles)
    if kept.times is None:
        return f"columns: {told}"
    first, last = (
        np.datetime64(int(end), "us").astype("datetime64[D]")
        for end in (kept.times.min(), kept.times.max())
    )
    return f"columns: {told}; times from {first} to {last}"


_MANY_USERS = 0.05  # share of users; a few sessions logged in one second need no note


def notes(
    files: Collection[Events], kept: Interactions, ready_made: ReadyMade | None
) -> tuple[str, ...]:
    """Return lines on the rows read and left out, columns not used, and missing times.

    If everything was used, the result is empty, since the counts of the split say enough.

    Args:
        files: the rows as read, without returns and low ratings, but with times that are equal in
            all rows.
        kept: the interactions built from them.
        ready_made: the ready-made split, which counts the dropped pairs of earlier parts itself.
    """
    n_returns = sum(file.n_returns for file in files)
    n_low = sum(file.n_low for file in files)
    n_rows = sum(len(file.users) for file in files)
    n_repeats = n_rows - len(kept) - (ready_made.n_dropped if ready_made else 0)
    told = [count(n_rows + n_returns + n_low, "row")]
    if n_returns:
        told.append(f"{count(n_returns, 'return')} left out")
    if n_low:
        told.append(f"{count(n_low, 'row')} with a low rating or none left out")
    if n_repeats:
        some = count(n_repeats, "repeat")
        told.append(f"{some} of a user and item dropped (--repeats keep keeps them)")
    unused = list(dict.fromkeys(name for file in files for name in file.unused))
    if unused:
        told.append(f"columns not used: {listed(unused)}")
    lines = [f"read: {'; '.join(told)}"] if len(told) > 1 or kept.times is None else []
    lines += dict.fromkeys(text for file in files for text in file.remarks)
    floats = list(dict.fromkeys(name for file in files for name in file.from_floats))
    if floats:
        lines.append(f"ids: {listed(floats)}: whole numbers written as floats, read as integers")
    order = "" if ready_made else ", so what is held out is drawn at random"
    if kept.times is None and any(file.times is not None for file in files):
        lines.append(f"no times: all rows have one and the same time{order}")
    elif kept.times is None:
        cure = "; if one of these columns holds them, name it with --time-col" if unused else ""
        lines.append(f"no times: no column is recognised as a time{order}{cure}")
    lines += _users_of_one_time(kept)
    return tuple(lines)


def _users_of_one_time(kept: Interactions) -> list[str]:
    """Return a line if many users with two or more rows have one time in all of them."""
    if kept.times is None:
        return []
    starts, ends = kept.offsets[:-1], kept.offsets[1:]
    users = np.flatnonzero(ends - starts >= 2)
    # A user's rows are in order of time, so comparing the first and the last is enough.
    n_equal = int((kept.times[starts[users]] == kept.times[ends[users] - 1]).sum())
    if not n_equal or n_equal < _MANY_USERS * len(users):
        return []
    some = f"{n_equal:,} of {count(len(users), 'user')} with two rows or more"
    return [f"times: {some} have the same time in all of them; the file's order decides the newest"]
