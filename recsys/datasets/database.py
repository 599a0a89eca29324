"""Interactions from a database: the result of a query, through SQLAlchemy.

A URL names no password, since it is stored with the study and shown in MLflow: it names an
environment variable, or the driver finds the password by itself (~/.pgpass).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from recsys.datasets.frames import BEYOND_64_BITS, SEVERAL_TYPES, as_text
from recsys.errors import DataError
from recsys.passwords import (
    GRANTING_NAME,
    ODBC_PASSWORD,
    VARIABLE,
    public_uri,
    without_braces,
)
from recsys.readers import first_line

DATABASES = ("postgresql", "mysql", "mariadb", "sqlite", "mssql", "oracle", "duckdb")  # schemes
IN_FILES = ("sqlite", "duckdb")
# Beginnings of databases in memory, of MotherDuck's, and of SQLite's own URIs.
NO_FILE = (":", "md:", "motherduck:", "file:")
_SECRET_OPTION = re.compile(rf"{GRANTING_NAME}$", re.IGNORECASE)
_ODBC = "odbc_connect"  # the option with a text for an ODBC driver, as SQLAlchemy spells it
_ON_COLUMN_NAMES = (pl.exceptions.DuplicateError, pl.exceptions.UnsuitableSQLError)


def queried(url: str, sql: str) -> pl.DataFrame:
    """Return all rows of a query, sorted, since a database promises no order.

    Args:
        url: URL of SQLAlchemy; $NAME stands for an environment variable.
        sql: the query.

    Raises:
        DataError: the URL is none or holds a password, its file is not there, or the database does
            not answer with rows.
    """
    address = _address(url)
    shown = address_only(url)
    if (file := _file(address)) is not None and not file.exists():  # drivers would make it
        raise DataError(f"{shown}: there is no such file; check --data")
    try:
        engine = sqlalchemy.create_engine(address)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _only_read)
    except (SQLAlchemyError, ImportError) as error:
        raise DataError(
            f"{shown}: {first_line(error)}; give a URL as postgresql+psycopg://HOST/DATABASE or "
            "sqlite:///FILE, and install its driver (pip install 'psycopg[binary]')"
        ) from None
    try:
        frame = _answer(engine, sql)
    except (SQLAlchemyError, *_ON_COLUMN_NAMES) as error:
        raise DataError(
            f"{shown}: {first_line(error)}; check --data and --sql with the database's own client"
        ) from None
    except (pl.exceptions.PolarsError, TypeError):  # whose words may quote a cell
        raise DataError(f"{shown}: {SEVERAL_TYPES}: CAST it in --sql") from None
    except OverflowError:
        raise DataError(f"{shown}: {BEYOND_64_BITS}: CAST it in --sql") from None
    finally:
        engine.dispose()
    if not frame.height:
        raise DataError(f"{shown}: the query returns no rows; check --sql")
    frame = frame.with_columns(as_text(column) for column in frame if column.dtype == pl.Object)
    return frame.sort([name for name, kind in frame.schema.items() if not kind.is_nested()])


def _answer(engine: sqlalchemy.Engine, sql: str) -> pl.DataFrame:
    """Return the rows of a query, without a column where it is none that returns rows."""
    returns_rows: list[bool] = []

    def note(_: object, cursor: Any, *_more: object) -> None:
        returns_rows.append(cursor.description is not None)

    event.listen(engine, "after_cursor_execute", note)
    try:
        return pl.read_database(sql, engine, infer_schema_length=None)  # by all rows
    except AttributeError:  # of polars, which asks for the columns of any answer
        if returns_rows and not returns_rows[-1]:
            return pl.DataFrame()
        raise


def _only_read(connection: Any, _: object) -> None:
    """Let SQLite refuse changes, some of which it would commit without being asked.

    The other way, mode=ro, cannot read what a killed writer left half-done.
    """
    connection.execute("PRAGMA query_only = ON")


def _file(url: URL) -> Path | None:
    """Return the file of an SQLite or DuckDB database; None for others, and for one in memory."""
    file = url.database or ":memory:"
    is_path = url.get_backend_name() in IN_FILES and not file.startswith(NO_FILE)
    return Path(file) if is_path and "://" not in file else None


def address_only(url: str) -> str:
    """Return a URL without user, password and options, for messages and as a name."""
    return public_uri(url).partition("?")[0]


def absolute_url(url: str) -> str:
    """Return the URL with the path of an SQLite or DuckDB file made absolute.

    A path with an environment variable in it stays, since its value may be another one tomorrow.

    Raises:
        DataError: the URL is none.
    """
    made = _made(url)
    if (file := _file(made)) is None or VARIABLE.search(str(file)):
        return url
    head, _, rest = url.partition(":///")  # the rest of the text stays as it is
    path, mark, options = rest.partition("?")
    return f"{head}:///{Path(path).resolve().as_posix()}{mark}{options}"


def _address(url: str) -> URL:
    """Return the URL with environment variables in place.

    Raises:
        DataError: it holds a password, or a variable is not set.
    """
    made = _made(url)
    options = [(name, value) for name, values in made.normalized_query.items() for value in values]
    secrets = [value for name, value in options if _SECRET_OPTION.search(name)]
    secrets += [
        without_braces(found[2])
        for name, value in options
        if name == _ODBC
        for found in ODBC_PASSWORD.finditer(value)
    ]
    if not all(map(VARIABLE.fullmatch, filter(None, [str(made.password or ""), *secrets]))):
        raise DataError(
            f"{address_only(url)}: the URL holds a password, which would be stored with the "
            "study; write $NAME in its place (//USER:$NAME@HOST or ?password=$NAME, in single "
            "quotes) and set that environment variable"
        )

    def filled(name: str, text: str) -> str:
        if VARIABLE.fullmatch(text):
            return variables_filled(text, url) or ""
        return _odbc_filled(text, url) if name == _ODBC else text

    return made.set(
        username=variables_filled(made.username, url),
        password=variables_filled(made.password, url),
        host=variables_filled(made.host, url),
        database=variables_filled(made.database, url),
        query={
            name: filled(name, value)
            if isinstance(value, str)
            else tuple(filled(name, each) for each in value)
            for name, value in made.query.items()
        },
    )


def _odbc_filled(text: str, url: str) -> str:
    """Return a text for an ODBC driver with the passwords that its variables have.

    They are in braces, in which a ; is a part of them.

    Raises:
        DataError: a variable is not set.
    """

    def in_braces(found: re.Match[str]) -> str:
        password = variables_filled(without_braces(found[2]), url) or ""
        return f"{found[1]}{{{password.replace('}', '}}')}}}" if password else found[1]

    return ODBC_PASSWORD.sub(in_braces, text)


def _made(url: str) -> URL:
    """Return the parsed URL.

    Raises:
        DataError: it is none.
    """
    try:
        return make_url(url)
    except SQLAlchemyError as error:
        raise DataError(f"{address_only(url)}: {first_line(error)}") from None


def variables_filled(text: object, url: str) -> str | None:
    """Return text with the values of environment variables in place of their names, None as it is.

    Args:
        text: the text, with variables as $NAME or ${NAME}.
        url: the URL that it is a part of, for the message.

    Raises:
        DataError: a variable is not set.
    """
    if text is None:
        return None
    names = [one or other for one, other in VARIABLE.findall(str(text))]
    for name in names:
        if name not in os.environ:
            raise DataError(f"{address_only(url)}: the environment variable {name} is not set")
    return VARIABLE.sub(lambda match: os.environ[match[1] or match[2]], str(text))
