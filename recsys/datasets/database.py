"""Interactions from a database: the result of a query, through SQLAlchemy.

A URL names no password, since it is stored with the study and shown in MLflow: it names an
environment variable, or the driver finds the password by itself (~/.pgpass).
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from recsys.datasets.frames import SEVERAL_TYPES, as_text
from recsys.errors import DataError
from recsys.passwords import VARIABLE, public_uri
from recsys.readers import first_line

DATABASES = ("postgresql", "mysql", "mariadb", "sqlite", "mssql", "oracle", "duckdb")  # schemes
IN_FILES = ("sqlite", "duckdb")
NO_FILE = (":", "md:", "motherduck:")  # beginnings of databases in memory, and of MotherDuck's
_ON_COLUMN_NAMES = (pl.exceptions.DuplicateError, pl.exceptions.UnsuitableSQLError)


def queried(url: str, sql: str) -> pl.DataFrame:
    """Return all rows of a query, sorted, since a database promises no order.

    Args:
        url: URL of SQLAlchemy; $NAME stands for an environment variable.
        sql: the query.

    Raises:
        DataError: the URL is none or holds a password, or the database does not answer with rows.
    """
    address = _address(url)
    shown = address_only(url)
    try:
        engine = sqlalchemy.create_engine(address)
    except (SQLAlchemyError, ImportError) as error:
        raise DataError(
            f"{shown}: {first_line(error)}; give a URL as postgresql+psycopg://HOST/DATABASE or "
            "sqlite:///FILE, and install its driver (pip install 'psycopg[binary]')"
        ) from None
    try:
        frame = pl.read_database(sql, engine, infer_schema_length=None)  # by all rows
    except (SQLAlchemyError, *_ON_COLUMN_NAMES) as error:
        raise DataError(
            f"{shown}: {first_line(error)}; check --data and --sql with the database's own client"
        ) from None
    except (pl.exceptions.PolarsError, TypeError):  # whose words may quote a cell
        raise DataError(f"{shown}: {SEVERAL_TYPES}: CAST it in --sql") from None
    except AttributeError:  # polars asks for the columns of an answer that has none
        frame = pl.DataFrame()
    finally:
        engine.dispose()
    if not frame.height:
        raise DataError(f"{shown}: the query returns no rows; check --sql")
    frame = frame.with_columns(as_text(column) for column in frame if column.dtype == pl.Object)
    return frame.sort([name for name, kind in frame.schema.items() if not kind.is_nested()])


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
    file = made.database or ":memory:"
    if made.get_backend_name() not in IN_FILES or file.startswith(NO_FILE):
        return url
    if VARIABLE.search(file):
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
    is_open = bool(made.password) and not VARIABLE.fullmatch(str(made.password))
    if is_open or "password" in made.query:
        raise DataError(
            f"{address_only(url)}: the URL holds a password, which would be stored with the "
            "study; write $NAME in its place (//USER:$NAME@HOST) and set that environment variable"
        )
    return made.set(
        username=variables_filled(made.username, url),
        password=variables_filled(made.password, url),
        host=variables_filled(made.host, url),
        database=variables_filled(made.database, url),
    )


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
