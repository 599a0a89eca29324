"""SQLite files in folders that cannot be written: read as they are, without locks beside them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

NOT_WRITABLE = "this folder cannot be written"


def sqlite_url(path: Path) -> str:
    """The SQLAlchemy URL of a file, whatever its name holds: a % or ? would mean something else."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=path.as_posix()).render_as_string()


def is_writable(folder: Path) -> bool:
    """Whether files can be made there; also root cannot on a file system that is read-only."""
    return os.access(folder, os.W_OK)


def has_changes_beside(path: Path) -> bool:
    """Whether a -wal file holds changes that the database itself does not have yet."""
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def reading_url(path: Path) -> str | None:
    """The SQLAlchemy URL that reads a database where nothing can be written; None: the usual one.

    A database in WAL mode cannot be opened without a file beside it, unless SQLite is told that
    nobody changes it (`immutable`). That is a lie, and would lose rows, where changes wait beside.
    """
    if is_writable(path.parent) or has_changes_beside(path):
        return None
    name = quote(quote(path.resolve().as_posix()))  # SQLAlchemy undoes one, SQLite the other
    # with the driver named: of sqlite:///file:... MLflow makes a folder "file:" where one stands
    return f"sqlite+pysqlite:///file:{name}?mode=ro&immutable=1&uri=true"


def why_unreadable(path: Path) -> str:
    """What a person should know about a database that does not open; "" if nothing is special."""
    if is_writable(path.parent):
        return ""
    if has_changes_beside(path):
        return (
            f"; {path.parent}: {NOT_WRITABLE}, and {path.name}-wal holds changes that SQLite must "
            "take over first: make the folder writable, or copy all of it to one that is"
        )
    return f"; {path.parent}: {NOT_WRITABLE}; give yourself permission, or copy it elsewhere"
