"""A table in memory behind the interface of tables on disk."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from recsys.readers.tables.table import Table


@dataclass(frozen=True)
class FrameTable(Table):
    """A table in memory, whose path stands for nothing.

    Attributes:
        frame: all rows.
        label: name of the table in messages.
    """

    frame: pl.DataFrame = field(default_factory=pl.DataFrame)
    label: str = ""

    @property
    def where(self) -> str:
        """Return the name of the table in messages: its label."""
        return self.label

    def _scan_file(self) -> pl.LazyFrame:
        return self.frame.lazy()
