"""A table on disk, text or columnar, behind one interface: names, rows, places of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data import Ints64
from recsys.messages import SHOWN, and_more
from recsys.readers.paths import extension_of
from recsys.readers.tables.quotes import hides_lines, quotes_of
from recsys.readers.tables.text import (
    DAMAGE,
    TextForm,
    has_inch_marks_only,
    irregular_rows,
    line_numbers,
)

ARROW = (".arrow", ".feather", ".ipc")
READ_ERRORS = (pl.exceptions.PolarsError, OSError, *DAMAGE)
LINES_FOR_A_REMARK = 200_000  # 30 us each, which a remark about millions is not worth
_BATCH = 1_000_000  # rows; 4 text columns of that length take some 100 MB


@dataclass(frozen=True)
class Table:
    """A file with a header or schema that could be read.

    Attributes:
        path: the path as the user gave it.
        names: column names, those of the file first and in its order.
        form: form of the text; None for Parquet and Arrow.
        constants: (name, value) of each column that folders around the file name (date=2024-10).
    """

    path: Path
    names: tuple[str, ...]
    form: TextForm | None
    constants: tuple[tuple[str, str], ...] = ()

    @property
    def where(self) -> str:
        """Return the name of the table in messages: its path."""
        return str(self.path)

    @property
    def parts(self) -> tuple[Table, ...]:
        """Return the tables of single files that this table consists of: itself."""
        return (self,)

    def scan(self) -> pl.LazyFrame:
        """Return all rows lazily: text as text, nothing guessed, an empty cell as ""."""
        rows = self._scan_file()
        if not self.constants:
            return rows
        return rows.with_columns(pl.lit(value).alias(name) for name, value in self.constants)

    def batches(self, columns: Sequence[pl.Expr]) -> Iterator[pl.DataFrame]:
        """Yield the chosen columns in file order, at most a million rows at a time.

        Args:
            columns: expressions over the columns of the table.
        """
        rows = self.scan().select(*columns)
        yield from rows.collect_batches(chunk_size=_BATCH, maintain_order=True, lazy=True)

    def without_quotes(self) -> Table | None:
        """Return the same table with quotes as ordinary letters, or None where that makes no sense.

        Tab separated exports often have bare quotes (12" discs) that no CSV rule can parse, and so
        have others, if all of their lines have the right number of separators and no field begins
        with a quote. None is returned for Parquet, and for tables with such quotes already.
        """
        if self.form is None or self.form.quote is None:
            return None
        plain = replace(self.form, quote=None)
        try:
            may_be = self.form.separator == "\t" or has_inch_marks_only(self.path, plain)
        except READ_ERRORS:
            return None
        return replace(self, form=plain) if may_be else None

    def has_stray_quotes(self) -> bool:
        """Return True if a quote of the file stands inside a cell or stays open."""
        form = self.form
        return (
            form is not None and form.quote is not None and bool(quotes_of(self.path, form).stray)
        )

    def hidden_lines(self, n_rows: int) -> list[str]:
        """Return a remark if quoted cells hold lines that may be rows of their own, else nothing.

        Costs no more than a look for quotes, unless the file has more lines than rows.

        Args:
            n_rows: number of rows that were read.
        """
        form = self.form
        if form is None or form.quote is None or not hides_lines(self.path, form, n_rows):
            return []
        doubtful = quotes_of(self.path, form, LINES_FOR_A_REMARK).doubtful
        if not doubtful:
            return []
        places = ", ".join(f"line {first} to {last}" for first, last in doubtful[:SHOWN])
        cure = 'if these are rows, remove the quotes or double them ("disc 12""")'
        where = f"{self.path}: {places}{and_more(len(doubtful))}"
        return [f"quotes: {where}: read as a text of several lines in quotes; {cure}"]

    @property
    def is_text(self) -> bool:
        """Return True if all cells of the file are text."""
        return self.form is not None

    @property
    def own_names(self) -> tuple[str, ...]:
        """Return the names of the columns in the file, without those that folders name."""
        return self.names[: len(self.names) - len(self.constants)]

    @property
    def row_word(self) -> str:
        """Return the word for a position in this file: "line", or "row" for Parquet."""
        return "row" if self.form is None else "line"

    @property
    def suspect(self) -> pl.Expr:
        """Return a mask expression of rows that may be blank lines or have too few fields."""
        if self.form is None:
            return pl.lit(value=False)
        # polars silently fills missing fields with "". A line that is blank or too short has an
        # empty last field, so only a file with such fields is read a second time.
        last = pl.col(self.form.names[-1])
        if len(self.form.separator) == 1:
            return last == ""
        return (last == "") | last.str.contains(self.form.separator, literal=True)

    def line_numbers(self, rows: Sequence[int] | Ints64) -> list[int]:
        """Return the line numbers of the first SHOWN row positions (Parquet: row numbers from 1).

        Args:
            rows: row positions from 0, ascending.
        """
        shown = [int(row) for row in rows[:SHOWN]]
        if self.form is None:
            return [row + 1 for row in shown]
        return line_numbers(self.path, self.form, shown)

    def spots(self, rows: Sequence[int] | Ints64) -> list[str]:
        """Return a phrase for each of the first SHOWN row positions: "line 3".

        Args:
            rows: row positions from 0, ascending.
        """
        return [f"{self.row_word} {number}" for number in self.line_numbers(rows)]

    def places(self, rows: Sequence[int] | Ints64) -> str:
        """Return a phrase for row positions: "line 3, 8 and 4 more".

        Args:
            rows: row positions from 0, ascending.
        """
        numbers = ", ".join(map(str, self.line_numbers(rows)))
        return f"{self.row_word} {numbers}{and_more(len(rows))}"

    def irregular(self, problems: list[str]) -> Ints64:
        """Return the row positions of blank lines, and report lines of too many or few fields.

        Args:
            problems: list that receives a line for each problem found.
        """
        if self.form is None:
            return np.empty(0, np.int64)
        blank, ragged = irregular_rows(self.path, self.form)
        if ragged:
            places = ", ".join(f"line {line} has {fields}" for line, fields in ragged[:SHOWN])
            problems.append(
                f"{self.path}: each line needs {len(self.form.names)} fields, but {places}"
                f"{and_more(len(ragged))}; mend these lines (a quote left open?), or quote "
                f"the texts that hold a {_spoken(self.form.separator)}"
            )
        return blank

    def _scan_file(self) -> pl.LazyFrame:
        """Return the rows of the file lazily, without the columns that folders name."""
        if self.form is None:
            if extension_of(self.path) in ARROW:
                return pl.scan_ipc(self.path, glob=False)
            return pl.scan_parquet(self.path, glob=False)
        if len(self.form.separator) > 1:
            return _scan_split_lines(self.path, self.form)
        headless = self.form.header_line == 0
        return pl.scan_csv(
            self.path,
            separator=self.form.separator,
            quote_char=self.form.quote,
            has_header=not headless,
            skip_lines=max(0, self.form.header_line - 1),
            new_columns=list(self.form.names),
            infer_schema=False,
            empty_string_is_null=False,
            glob=False,
        )


def _scan_split_lines(path: Path, form: TextForm) -> pl.LazyFrame:
    """Return the rows of a text whose separator has several letters, which polars cannot parse.

    The rest of a line with too many fields is left in the last column.
    """
    fields = pl.col("line").str.strip_chars_end("\r").str.splitn(form.separator, len(form.names))
    lines = pl.scan_lines(path, glob=False).slice(form.header_line)
    rows = lines.select(fields.struct.rename_fields(list(form.names))).unnest("line")
    return rows.with_columns(pl.all().fill_null(""))


def _spoken(separator: str) -> str:
    return {"\t": "tab", ",": "comma", ";": "semicolon"}.get(separator, separator)
