"""A folder of files of one form as one table: parts of Spark or Hive, logs by day.

    part-00000.parquet, part-00001.parquet
    date=2024-10-25/part-0.parquet, date=2024-10-26/part-0.parquet
    2024-09.csv, 2024-10.csv

A folder named KEY=VALUE adds the column KEY, unless its files have a column of that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import polars as pl

from recsys.data import Ints64
from recsys.messages import SHOWN, and_more, listed
from recsys.readers.tables.opening import open_table
from recsys.readers.tables.table import Table

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class PartedTable(Table):
    """The files of a folder as one table, in order of their paths.

    Attributes:
        files: the table of each file; all have the same columns.
    """

    files: tuple[Table, ...] = ()

    @property
    def parts(self) -> tuple[Table, ...]:
        """Return the tables of the single files."""
        return self.files

    @cached_property
    def ends(self) -> Ints64:
        """Return the row position after each file's last row.

        Returns:
            (n_files,) int64.
        """
        sizes = [part.scan().select(pl.len()).collect().item() for part in self.files]
        return np.cumsum(np.array(sizes, np.int64))

    def scan(self) -> pl.LazyFrame:
        """Return all rows lazily, file after file."""
        return pl.concat(
            [part.scan().select(self.names) for part in self.files], how="vertical_relaxed"
        )

    def batches(self, columns: Sequence[pl.Expr]) -> Iterator[pl.DataFrame]:
        """Yield the chosen columns in file order, a file at a time.

        Args:
            columns: expressions over the columns of the table.
        """
        for part in self.files:
            yield from part.batches(columns)

    def without_quotes(self) -> Table | None:
        """Return the table with quotes as ordinary letters, or None if no file can be so read.

        If quotes stand inside cells of some files, the quotes of the others stay what they are.
        """
        is_stray = [part.has_stray_quotes() for part in self.files]
        files = tuple(
            (part.without_quotes() if stray or not any(is_stray) else None) or part
            for part, stray in zip(self.files, is_stray, strict=True)
        )
        return None if files == self.files else replace(self, files=files)

    def spots(self, rows: Sequence[int] | Ints64) -> list[str]:
        """Return a phrase for each of the first SHOWN row positions: "part-1.csv line 3".

        Args:
            rows: row positions from 0, ascending.
        """
        shown = np.asarray(rows[:SHOWN], np.int64)
        owner = np.searchsorted(self.ends, shown, side="right")
        found = []
        for number in dict.fromkeys(owner.tolist()):
            part = self.files[number]
            start = int(self.ends[number - 1]) if number else 0
            name = part.path.relative_to(self.path)
            found += [f"{name} {spot}" for spot in part.spots(shown[owner == number] - start)]
        return found

    def places(self, rows: Sequence[int] | Ints64) -> str:
        """Return a phrase for row positions: "part-1.csv line 3, part-2.csv line 8 and 4 more".

        Args:
            rows: row positions from 0, ascending.
        """
        return ", ".join(self.spots(rows)) + and_more(len(rows))

    def irregular(self, problems: list[str]) -> Ints64:
        """Return the row positions of blank lines, and report lines of too many or few fields.

        Args:
            problems: list that receives a line for each problem found.
        """
        starts = [0, *self.ends[:-1].tolist()]
        blank = [
            part.irregular(problems) + start for part, start in zip(self.files, starts, strict=True)
        ]
        return np.concatenate(blank)


def open_parted(
    folder: Path, files: Sequence[Path], problems: list[str], *, header: bool = True
) -> PartedTable | None:
    """Open the files of a folder as one table.

    Args:
        folder: the folder.
        files: the files, at least one, in order.
        problems: list that receives a line for each problem found.
        header: False if the first lines of texts are data.

    Returns:
        The table, or None (and a problem) if a file cannot be read or differs in its columns.
    """
    before = len(problems)
    opened = [open_table(file, problems, header=header) for file in files]
    tables = [_with_constants(table, folder) for table in opened if table]
    if len(problems) > before or not tables:
        return None
    first = tables[0]
    for table in tables[1:]:
        if set(table.names) != set(first.names):
            lacks, more = (
                listed([name for name in one.names if name not in other.names])
                for one, other in ((first, table), (table, first))
            )
            differs = "; ".join(
                [f"lacks {lacks}"] * bool(lacks) + [f"has {more} besides"] * bool(more)
            )
            problems.append(
                f"{table.path}: {differs}, compared with {first.path.relative_to(folder)}; the "
                "files of a folder need the same columns: mend this file, or pass the one you mean"
            )
    if len(problems) > before:
        return None
    return PartedTable(folder, first.names, None, first.constants, tuple(tables))


def _with_constants(table: Table, folder: Path) -> Table:
    """Return a file's table with the columns that the folders above it name."""
    above = table.path.relative_to(folder).parent.parts
    pairs = dict(part.split("=", 1) for part in above if "=" in part)
    added = tuple(
        (unquote(key), "" if value == _HIVE_NULL else unquote(value))
        for key, value in pairs.items()
        if key not in table.names
    )
    if not added:
        return table
    return replace(table, names=(*table.names, *(key for key, _ in added)), constants=added)
