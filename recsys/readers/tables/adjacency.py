"""Adjacency lists, the form of LightGCN's public data: each line holds a user and their items.

    0 12 7 3041
    1 7
    2

No header; words are separated by blanks; a user without items has no rows.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import polars as pl

from recsys.messages import count
from recsys.readers.tables.damage import damage_of
from recsys.readers.tables.table import READ_ERRORS, Table
from recsys.readers.tables.text import open_bytes, undecodable_lines

EXTENSION = ".txt"
_SEEN_LINES = 1000  # checked before reading, to notice a table with a header
_NO_ADJACENCY = (
    "is read as lines of a user and their items, separated by blanks, but {}; if this is a table, "
    "name it .csv or .tsv and give it a header line, or name its columns by position: --no-header "
    "--user-col 1 --item-col 2"
)


class AdjacencyTable(Table):
    """An adjacency list as a table of columns user_id and item_id, a row for each listed item."""

    def _scan_file(self) -> pl.LazyFrame:
        """Return all pairs lazily, as text, in the order of the file."""
        words = pl.col("line").str.extract_all(r"\S+")
        return (
            self._lines()
            .select(words.list.first().alias("user_id"), words.list.slice(1).alias("item_id"))
            .filter(pl.col("item_id").list.len() > 0)
            .explode("item_id")
        )

    @property
    def row_word(self) -> str:
        """Return "pair", the word for a position in this file."""
        return "pair"

    def shape_problem(self) -> str | None:
        """Return a problem if the lines are rows of a table rather than lists, else None.

        Lists have one line per user, so a repeated user beside a line of more than two words is a
        table.
        """
        words = pl.col("line").str.extract_all(r"\S+")
        user = words.list.first().drop_nulls()
        facts = self._lines().select(
            again=user.len() - user.n_unique(), longest=words.list.len().max()
        )
        again, longest = facts.collect(engine="streaming").row(0)
        # Lines of "user item" are lists of one item each, so a user may have many such lines.
        if again and longest > 2:
            return _NO_ADJACENCY.format(
                f"{count(again, 'line')} {'repeats' if again == 1 else 'repeat'} the user of an "
                "earlier line"
            )
        return None

    def _lines(self) -> pl.LazyFrame:
        return pl.scan_csv(
            self.path,
            has_header=False,
            separator="\x1f",
            quote_char=None,
            new_columns=["line"],
            infer_schema=False,
            glob=False,
        )


def open_adjacency(path: Path, problems: list[str]) -> AdjacencyTable | None:
    """Check the lines of a file and return it as a table.

    Args:
        path: the file.
        problems: list that receives a line for each problem found.

    Returns:
        The table, or None (and a problem) if the lines are no adjacency lists.
    """
    table = AdjacencyTable(path, ("user_id", "item_id"), None)
    try:
        problem = _text_problem(path) or table.shape_problem()
    except READ_ERRORS as error:
        problem = damage_of(path, error)
    if problem:
        problems.append(f"{path}: {problem}")
        return None
    return table


def _text_problem(path: Path) -> str | None:
    if path.stat().st_size == 0:
        return "is empty; it needs a line for each user"
    if lines := undecodable_lines(path, 1):
        return f"line {lines[0]}: is not UTF-8; save the file again as UTF-8"
    with open_bytes(path) as file:
        for number, line in enumerate(islice(file, _SEEN_LINES), start=1):
            for mark, name in ((b",", "commas"), (b";", "semicolons"), (b"\0", "no text")):
                if mark in line:
                    return _NO_ADJACENCY.format(f"line {number} holds {name}")
    return None
