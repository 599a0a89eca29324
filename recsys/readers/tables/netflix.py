"""The Netflix Prize's files: a line for a film, then a line for each of its ratings.

    1:
    1488844,3,2005-09-06
    822109,5,2005-05-13
    2:
    885013,4,2005-10-19

Such are combined_data_1.txt to combined_data_4.txt, and training_set/mv_0000001.txt and its kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.readers.tables.table import Table
from recsys.readers.tables.text import open_bytes

FILE_NAME = re.compile(r"(?:combined_data|mv)_\d+\.txt", re.IGNORECASE)
_FILM = re.compile(rb"\d+:\s*$")
_RATING = re.compile(rb"\d+,[\d.]+,\d{4}-\d\d-\d\d\s*$")


@dataclass(frozen=True)
class NetflixTable(Table):
    """The ratings of one file as a table of columns user_id, item_id, rating and date."""

    names: tuple[str, ...] = ("user_id", "item_id", "rating", "date")
    form: None = None

    def _scan_file(self) -> pl.LazyFrame:
        """Return a row for each rating, in the order of the file."""
        line = pl.col("line").str.strip_chars()
        film = pl.when(line.str.ends_with(":")).then(line.str.strip_suffix(":")).forward_fill()
        cells = pl.col("line").str.splitn(",", 3)
        cells = cells.struct.rename_fields(["user_id", "rating", "date"])
        return (
            pl.scan_lines(self.path, glob=False)
            .select(line, film.alias("item_id"))
            .filter(~pl.col("line").str.ends_with(":"), pl.col("line") != "")
            .select(cells, "item_id")
            .unnest("line")
            .select(*self.own_names)
        )

    @property
    def row_word(self) -> str:
        """Return "rating", the word for a position in this file."""
        return "rating"


def is_netflix(path: Path) -> bool:
    """Return True if the first two lines of a file are a film and a rating."""
    with open_bytes(path) as file:
        film, rating = file.readline(100), file.readline(100)
    return bool(_FILM.match(film) and _RATING.match(rating))
