"""Files of user ids: text with one id a line, or CSV or Parquet with a column of users.

That column is user_id, or else the only one whose name the readers of interactions recognise.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from hpo.errors import SettingsError
from recsys.messages import listed
from recsys.readers import LOOKED_AT, SEPARATOR_OF, matching_columns, separator_of

HEADER = "user_id"
WANTED = (
    "give `all`, a text file with one user id a line, or CSV or Parquet with a column user_id or "
    "another usual name of users"
)


def user_ids(source: str) -> list[str]:
    """Return the ids of a file, each once, in the order of the file.

    Raises:
        SettingsError: the file cannot be read, or contains no id.
    """
    path = Path(source)
    try:
        found = _parquet(path) if path.suffix.lower() == ".parquet" else _user_lines(path)
    except FileNotFoundError:
        raise SettingsError(f"--users {source}: there is no such file; {WANTED}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(
            f"--users {source}: line {line} is not UTF-8; save the file again as UTF-8"
        ) from None
    except (OSError, pl.exceptions.PolarsError, csv.Error, _UnusableError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise SettingsError(f"--users {source}: cannot be read ({reason}); {WANTED}") from None
    ids = [user_id for user_id in dict.fromkeys(found) if user_id]
    if not ids:
        raise SettingsError(f"--users {source}: contains no user id")
    return ids


class _UnusableError(Exception):
    """The error of a readable file without a recognizable column of ids."""


def _parquet(path: Path) -> list[str]:
    """Return the column of users of a Parquet file.

    Raises:
        _UnusableError: there is no such column.
    """
    with path.open("rb") as file:  # polars would take a name with [, * or ? for a pattern
        names = list(pl.read_parquet_schema(file))
    name = _column_of_users(names)
    if name is None:
        raise _UnusableError(f"no column or several may be the users': {listed(names)}")
    return pl.read_parquet(path, columns=[name], glob=False)[name].cast(pl.String).to_list()


def _column_of_users(names: Sequence[str]) -> str | None:
    """Return the column user_id, else the only one with a usual name of users, else None."""
    found = [HEADER] if HEADER in names else matching_columns("user", names)
    return found[0] if len(found) == 1 else None


def _user_lines(path: Path) -> list[str]:
    """Return the lines of a text file, or the column of users of a CSV file.

    Whole lines of a CSV file would be ids that no user has.

    Raises:
        _UnusableError: the file is a table without a column of users.
    """
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    first, suffix = lines[0] if lines else "", path.suffix.lower()
    usual = SEPARATOR_OF.get(suffix, ",")
    mark = separator_of(lines[:LOOKED_AT], usual, double_colon=False) if lines else usual
    names = [name.strip() for name in next(csv.reader([first], delimiter=mark), [])]
    header = _column_of_users(names)
    if len(names) > 1 and header is not None:
        column = names.index(header)
        rows = csv.reader(lines[1:], delimiter=mark)
        return [row[column].strip() if len(row) > column else "" for row in rows]
    is_table = suffix in SEPARATOR_OF
    if len(names) > 1 and is_table:
        # The columns are not shown: without a header line they are personal data.
        raise _UnusableError(f"it has {len(names)} columns, and line 1 calls none {HEADER}")
    ids = [line.strip().strip('"' if is_table else "") for line in lines]
    # A line of a text file counts as a user, unless it is the one name that no user has.
    has_header = header is not None if is_table else ids[:1] == [HEADER]
    return ids[1:] if has_header else ids
