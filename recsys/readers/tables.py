"""A table on disk, text or Parquet, behind one interface: names, rows, places of rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data.interactions import Ints64
from recsys.messages import SHOWN, and_more
from recsys.readers.text import (
    DAMAGE,
    BadTextError,
    TextForm,
    irregular_rows,
    line_numbers,
    read_form,
    undecodable_lines,
)

SEPARATOR_OF = {".csv": ",", ".tsv": "\t", ".inter": "\t", ".user": "\t", ".item": "\t"}
ATOMIC = (".inter", ".user", ".item")
READABLE = (
    ".csv, .tsv, .parquet, .csv.gz, .tsv.gz, RecBole's .inter, MovieLens' u.data, train.txt with "
    "test.txt"
)
MOVIELENS_DATA = "u.data"
U_DATA = TextForm(("user_id", "item_id", "rating", "timestamp"), "\t", None, 0)
_BATCH = 1_000_000  # rows; 4 text columns of that length take some 100 MB
_READ_ERRORS = (pl.exceptions.PolarsError, OSError, *DAMAGE)


@dataclass(frozen=True)
class Table:
    """A file with a header or schema that could be read.

    Attributes:
        path: the path as the user gave it.
        names: column names in file order.
        form: form of the text; None for Parquet.
    """

    path: Path
    names: tuple[str, ...]
    form: TextForm | None

    def scan(self) -> pl.LazyFrame:
        """Return all rows lazily: text as text, nothing guessed, an empty cell as ""."""
        if self.form is None:
            return pl.scan_parquet(self.path, glob=False)
        headless = self.form.header_line == 0
        return pl.scan_csv(
            self.path,
            separator=self.form.separator,
            quote_char=self.form.quote,
            has_header=not headless,
            skip_lines=max(0, self.form.header_line - 1),
            new_columns=list(self.names),
            infer_schema=False,
            empty_string_is_null=False,
            glob=False,
        )

    def batches(self, columns: Sequence[pl.Expr]) -> Iterator[pl.DataFrame]:
        """Yield the chosen columns in file order, at most a million rows at a time.

        Args:
            columns: expressions over the columns of the table.
        """
        rows = self.scan().select(*columns)
        yield from rows.collect_batches(chunk_size=_BATCH, maintain_order=True, lazy=True)

    def without_quotes(self) -> Table | None:
        """Return the same table with quotes as ordinary letters, or None where that makes no sense.

        Tab separated exports often have bare quotes (12" discs) that no CSV rule can parse. None is
        returned for other separators, Parquet, and tables with such quotes already.
        """
        if self.form is None or self.form.separator != "\t" or self.form.quote is None:
            return None
        return replace(self, form=replace(self.form, quote=None))

    @property
    def row_word(self) -> str:
        """Return the word for a position in this file: "line", or "row" for Parquet."""
        return "row" if self.form is None else "line"

    def line_numbers(self, rows: Sequence[int] | Ints64) -> list[int]:
        """Return the line numbers of the first SHOWN row positions (Parquet: row numbers from 1).

        Args:
            rows: row positions from 0, ascending.
        """
        shown = [int(row) for row in rows[:SHOWN]]
        if self.form is None:
            return [row + 1 for row in shown]
        return line_numbers(self.path, self.form, shown)

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
                f"{self.path}: each line needs {len(self.names)} fields, but {places}"
                f"{and_more(len(ragged))}; mend these lines (a quote left open?), or quote "
                f"the texts that hold a {_spoken(self.form.separator)}"
            )
        return blank


def open_table(path: Path, problems: list[str]) -> Table | None:
    """Read the header or schema of a file and return it as a table.

    Args:
        path: the file.
        problems: list that receives a line for each problem found.

    Returns:
        The table, or None (and a problem) if the file is no readable table.
    """
    extension = extension_of(path)
    try:
        if path.stat().st_size == 0:
            raise BadTextError("is empty; it needs a header line and rows")
        if path.name.casefold() == MOVIELENS_DATA:
            return Table(path, U_DATA.names, U_DATA)
        if extension == ".parquet":
            return Table(path, tuple(pl.scan_parquet(path, glob=False).collect_schema()), None)
        if extension not in SEPARATOR_OF:
            raise BadTextError(unreadable(path))
        form = read_form(path, SEPARATOR_OF[extension], atomic=extension in ATOMIC)
        return Table(path, form.names, form)
    except BadTextError as error:
        problems.append(f"{path}: {error}")
    except _READ_ERRORS as error:
        problems.append(f"{path}: {damage_of(path, error)}")
    return None


def explain(table: Table, error: BaseException, problems: list[str]) -> None:
    """Add a problem that explains polars' error: bytes, ragged lines, damage or quotes.

    Args:
        table: the table that polars refused.
        error: the error of polars.
        problems: list that receives a line for each problem found.
    """
    before = len(problems)
    try:
        if table.form is not None:
            lines = undecodable_lines(table.path)
            if lines:
                numbers = ", ".join(map(str, lines[:SHOWN])) + and_more(len(lines))
                verb = "is" if len(lines) == 1 else "are"
                problems.append(
                    f"{table.path}: line {numbers}: {verb} not UTF-8; save the file again as UTF-8"
                )
            else:
                table.irregular(problems)
    except _READ_ERRORS as damage:
        error = damage
    if len(problems) == before:
        problems.append(f"{table.path}: {damage_of(table.path, error)}")


def read_failures() -> tuple[type[BaseException], ...]:
    """Return the exceptions that reading a table may raise because of a faulty file."""
    return _READ_ERRORS


def extension_of(path: Path) -> str:
    """Return the extension in lower case, without a final .gz."""
    name = path.name.casefold().removesuffix(".gz")
    return name[name.rindex(".") :] if "." in name else ""


def stem_of(path: Path) -> str:
    """Return the file name without its extension and a final .gz."""
    name = path.name[: -len(".gz")] if path.name.casefold().endswith(".gz") else path.name
    return name.rpartition(".")[0] if "." in name else name


def unreadable(path: Path) -> str:
    """Return the reason for refusing the extension of a file, with a cure."""
    if path.name.casefold() == "ratings.dat":
        return (
            "MovieLens' '::' form is not read; replace '::' by tabs, add the header line "
            "user_id, item_id, rating, timestamp and name it interactions.tsv"
        )
    return f"cannot tell what this is by its extension; readable are {READABLE}"


def damage_of(path: Path, error: BaseException) -> str:
    """Return the reason for an unreadable file, in plain words and without any cell of it.

    Args:
        path: the file.
        error: the exception of the read.
    """
    # polars quotes cells in its messages, and a cell may be somebody's name, so no message of
    # polars is passed on.
    if isinstance(error, PermissionError):
        return "permission denied; make it readable"
    if extension_of(path) == ".parquet":
        return "is not a whole Parquet file (cut off, or another format); write it again"
    if isinstance(error, (OSError, EOFError, zlib.error)):
        return "is cut off or damaged (gzip); copy or compress it again"
    return "cannot be parsed as a table; look for an unclosed quote, or write it again"


def _spoken(separator: str) -> str:
    return {"\t": "tab", ",": "comma", ";": "semicolon"}.get(separator, separator)
