"""Tables in memory as data: DataFrames of polars or pandas, Arrow tables, or plain columns.

They are written as Parquet files and read like any other folder, so that columns, times, events and
faults are treated in one way.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recsys.errors import DataError

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("user_id", "item_id", "timestamp")  # of plain columns, in this order
FILES = {"data": "interactions.parquet", "users": "users.parquet", "items": "items.parquet"}
SEVERAL_TYPES = "a column has values of several types; use one"
BEYOND_64_BITS = "a column has a whole number beyond 64 bits; use text"
# Words of polars and pyarrow.
_SEVERAL_TYPES = re.compile("unexpected value while building|is not an instance of")
_BEYOND_64_BITS = re.compile(r"type U?Int\d+; found value of type U?Int128|too large to fit int64")
_NAMES_NO_CELL = re.compile("called with unsupported type|non-unique|datetime resolution")


class ArrowTable(Protocol):
    """A table that exports itself to Arrow: a DataFrame of polars or pandas, a pyarrow Table."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the table as a stream of Arrow."""


InMemory = ArrowTable | Mapping[str, Any] | Sequence[Any]


def write_tables(folder: Path, data: InMemory, **sides: InMemory | None) -> Path:
    """Write tables into a folder of their own, named by their content; return that folder.

    Args:
        folder: folder of such folders, made if missing.
        data: the interactions: a DataFrame, a mapping of columns, or (users, items) or (users,
            items, times).
        sides: `users` and `items`, tables of users and of items; None: there is no such table.

    Raises:
        DataError: a table cannot be understood or written.
    """
    tables = {"data": data, **{name: side for name, side in sides.items() if side is not None}}
    frames = {name: _frame(name, table) for name, table in tables.items()}
    try:
        digest, content = hashlib.sha256(), {}
        for name, frame in frames.items():
            content[FILES[name]] = _parquet(frame)
            digest.update(name.encode() + content[FILES[name]])
        place = folder / f"data-{digest.hexdigest()[:12]}"
        place.mkdir(parents=True, exist_ok=True)
        for name, file in content.items():
            (place / name).write_bytes(file)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror})") from None
    return place


@contextmanager
def naming_tables(folder: Path) -> Iterator[None]:
    """Name the arguments of the caller instead of the files of `write_tables` in a DataError.

    Args:
        folder: the folder that `write_tables` returned.

    Raises:
        DataError: the error of the block, in the words of the caller.
    """
    try:
        yield
    except DataError as error:
        raise DataError([_spoken(problem, folder) for problem in error.problems]) from None


def _spoken(problem: str, folder: Path) -> str:
    for name, file in FILES.items():
        problem = problem.replace(str(folder / file), name)
    return problem.replace(str(folder), "data")


def _frame(name: str, table: InMemory) -> pl.DataFrame:
    """Return a table as a DataFrame of polars.

    Raises:
        DataError: it is no table, or its columns have no common length or no type.
    """
    import polars as pl

    if isinstance(table, tuple | list):
        if not 2 <= len(table) <= len(COLUMNS):
            raise DataError(
                f"{name}: {len(table)} columns; give (users, items) or (users, items, times), or "
                "name them: a DataFrame or a dict of columns"
            )
        table = dict(zip(COLUMNS, table, strict=False))
    try:
        frame = pl.DataFrame(table)
        return frame.with_columns(
            _of_plain_values(column) for column in frame if column.dtype == pl.Object
        )
    except Exception as error:
        # pyarrow's errors on columns of mixed types come from a package that need not be there
        expected = (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError)
        if not isinstance(error, expected) and not _is_of_pyarrow(error):
            raise
        raise DataError(f"{name}: {_without_cells(error)}") from None


def _of_plain_values(column: pl.Series) -> pl.Series:
    """Return Python objects as a column of their one plain type, such as int, else as their texts.

    Raises:
        TypeError: they are of several types, of which one is plain.
    """
    import polars as pl

    plain = pl.Series(column.name, column.to_list())
    return as_text(plain) if plain.dtype == pl.Object else plain


def as_text(column: pl.Series) -> pl.Series:
    """Return Python objects, such as UUIDs, as their text."""
    import polars as pl

    texts = [None if cell is None else str(cell) for cell in column]
    return pl.Series(column.name, texts, pl.String)


def _is_of_pyarrow(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] == "pyarrow"


def _without_cells(error: Exception) -> str:
    """Return what is wrong with a table, without the words of a library that may quote a cell."""
    import polars as pl

    reason = str(error).partition("\n")[0]
    if isinstance(error, pl.exceptions.ShapeError) or _NAMES_NO_CELL.search(reason):
        return f"is no table of columns of one length ({reason})"
    if isinstance(error, OverflowError) or _BEYOND_64_BITS.search(reason):
        return BEYOND_64_BITS
    if _is_of_pyarrow(error) or _SEVERAL_TYPES.search(reason):
        return SEVERAL_TYPES
    return "a column has values that no table holds; use text, numbers, dates or times"


def _parquet(frame: pl.DataFrame) -> bytes:
    frame.write_parquet(buffer := io.BytesIO())
    return buffer.getvalue()
