"""MIND's behaviors.tsv: lines of shown news, each with a mark whether it was clicked.

    1	U13740	11/11/2019 9:05:58 AM	N55189 N42782	N55689-1 N35729-0

The columns are impression, user, time, earlier clicks and shown news; there is no header. A row of
the table is one clicked news. The earlier clicks have no times, so they are left out.
Source: https://github.com/msnews/msnews.github.io/blob/master/assets/doc/introduction.md
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recsys.readers.tables.table import Table
from recsys.readers.tables.text import BadTextError, TextForm, read_headless_form

BEHAVIORS = "behaviors.tsv"
_LINE = TextForm(("impression", "user_id", "timestamp", "history", "shown"), "\t", None, 0)
_TIME = "%m/%d/%Y %I:%M:%S %p"  # Microsoft's documentation names month first


class MindTable(Table):
    """The clicks of a behaviors.tsv as a table of columns user_id, item_id and timestamp."""

    def _scan_file(self) -> pl.LazyFrame:
        """Return a row for each clicked news, in the order of the file; times as ISO texts."""
        clicked = pl.col("shown").str.extract_all(r"\S+-1(?:\s|$)")
        time = pl.col("timestamp").str.to_datetime(_TIME, strict=False)
        return (
            Table(self.path, _LINE.names, _LINE)
            .scan()
            .select(
                "user_id",
                clicked.alias("item_id"),
                # A time of another form stays as it is, so that the reader can name it.
                pl.coalesce(time.dt.to_string("iso"), "timestamp").alias("timestamp"),
            )
            .explode("item_id")
            .filter(pl.col("item_id").is_not_null())
            .with_columns(pl.col("item_id").str.strip_chars().str.strip_suffix("-1"))
        )

    def without_quotes(self) -> Table | None:
        """Return None: quotes are ordinary letters already."""
        return None

    @property
    def row_word(self) -> str:
        """Return "click", the word for a position in this file."""
        return "click"


def open_mind(path: Path) -> MindTable | None:
    """Return a behaviors.tsv as a table, or None if its first line has another form.

    Args:
        path: the file.

    Raises:
        BadTextError: the file is not UTF-8 text, or has lines of other than five fields.
    """
    if len(read_headless_form(path, "\t").names) != len(_LINE.names):
        return None
    problems: list[str] = []
    Table(path, _LINE.names, _LINE).irregular(problems)
    if problems:
        raise BadTextError(problems[0].removeprefix(f"{path}: "))
    return MindTable(path, ("user_id", "item_id", "timestamp"), None)
