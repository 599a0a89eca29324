"""Opening of a file as a table by its extension, with a problem if it is no readable table."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recsys.readers.paths import extension_of
from recsys.readers.tables.damage import damage_of
from recsys.readers.tables.json_lines import EXTENSIONS as JSON, open_json
from recsys.readers.tables.mind import BEHAVIORS, open_mind
from recsys.readers.tables.netflix import NetflixTable, is_netflix
from recsys.readers.tables.table import ARROW, READ_ERRORS, Table
from recsys.readers.tables.text import BadTextError, TextForm, read_form, read_headless_form

SEPARATOR_OF = {".csv": ",", ".tsv": "\t", ".inter": "\t", ".user": "\t", ".item": "\t"}
ATOMIC = (".inter", ".user", ".item")
DAT = ".dat"
TEXT = ".txt"  # with a header line or columns by position; else lists (adjacency.py)
READABLE_TEXT = (
    ".csv, .tsv, .jsonl (each also .gz), .parquet, .arrow, .feather, .dat, RecBole's .inter, "
    "MovieLens' u.data and ratings.dat, MIND's behaviors.tsv, Netflix's combined_data_*.txt, "
    "train.txt with test.txt"
)
COLUMNAR = (".parquet", *ARROW)
TABLES = (".csv", ".tsv", *JSON, *COLUMNAR, DAT)  # extensions of tables in any folder
MOVIELENS_DATA = "u.data"
U_DATA = TextForm(("user_id", "item_id", "rating", "timestamp"), "\t", None, 0)
RATINGS_DAT = "ratings.dat"


def open_table(path: Path, problems: list[str], *, header: bool = True) -> Table | None:
    """Read the header or schema of a file and return it as a table.

    Args:
        path: the file.
        problems: list that receives a line for each problem found.
        header: False if the first line of a text is data; its columns then are "1", "2", ...

    Returns:
        The table, or None (and a problem) if the file is no readable table.
    """
    try:
        if path.stat().st_size == 0:
            raise BadTextError("is empty; it needs a header line and rows")
        return _opened(path, header=header)
    except BadTextError as error:
        problems.append(f"{path}: {error}")
    except READ_ERRORS as error:
        problems.append(f"{path}: {damage_of(path, error)}")
    return None


def _opened(path: Path, *, header: bool) -> Table:
    """Return a file as a table.

    Raises:
        BadTextError: the header or the extension is no table's.
    """
    extension = extension_of(path)
    if path.name.casefold() == MOVIELENS_DATA:
        return Table(path, U_DATA.names, U_DATA)
    if header and (published := _published(path, extension)):
        return published
    if extension in (*COLUMNAR, *JSON) and not header:
        raise BadTextError("has names in it; leave --no-header out")
    if extension == ".parquet":
        return Table(path, tuple(pl.scan_parquet(path, glob=False).collect_schema()), None)
    if extension in ARROW:
        return Table(path, tuple(pl.scan_ipc(path, glob=False).collect_schema()), None)
    if extension in JSON:
        return open_json(path)
    if extension not in (*SEPARATOR_OF, DAT, TEXT) or (extension == TEXT and header):
        raise BadTextError(unreadable(path))
    form = _form(path, extension, header=header)
    return Table(path, form.names, form)


def _published(path: Path, extension: str) -> Table | None:
    """Return a file of MIND or the Netflix Prize as a table; None if it is neither.

    Raises:
        BadTextError: MIND's file has broken lines.
    """
    if path.name.casefold() == BEHAVIORS:
        return open_mind(path)
    return NetflixTable(path) if extension == TEXT and is_netflix(path) else None


def _form(path: Path, extension: str, *, header: bool) -> TextForm:
    """Return the form of a text table.

    Raises:
        BadTextError: the first line is not text, or names two columns alike.
    """
    separator = SEPARATOR_OF.get(extension, "\t")
    if header and path.name.casefold().removesuffix(".gz") == RATINGS_DAT:
        form = read_headless_form(path, separator)
        if form.separator == "::" and len(form.names) == len(U_DATA.names):
            return TextForm(U_DATA.names, "::", None, 0)
    if not header:
        return read_headless_form(path, separator)
    return read_form(path, separator, atomic=extension in ATOMIC, is_dat=extension == DAT)


def unreadable(path: Path) -> str:
    """Return the reason for refusing the extension of a file, with a cure."""
    if extension_of(path) == TEXT:
        return (
            "a .txt file is read as lines of a user and their items; name a table .csv or .tsv, "
            "or give its columns by position: --no-header --user-col 1 --item-col 2"
        )
    return f"cannot tell what this is by its extension; readable are {READABLE_TEXT}"
