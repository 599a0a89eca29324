"""SQLite files in folders that cannot be written: opened read-only, without lock files."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

NOT_WRITABLE = "this folder cannot be written"


def sqlite_url(path: Path) -> str:
    """Return the SQLAlchemy URL of a file, also if its name contains % or ?."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=path.as_posix()).render_as_string()


def without_three_slashes(url: str) -> str:
    """Return what to write instead of an SQLite URL that names a host; "" if it names none.

    The part between two slashes and the next one is a host, and the rest another file than meant.

    Args:
        url: any URL or path.
    """
    scheme, colon, rest = url.partition(":")
    path = rest.lstrip("/")
    is_sqlite = scheme.lower().partition("+")[0] == "sqlite" and colon
    if not is_sqlite or not path or path.startswith("?") or rest.startswith("///"):
        return ""
    root = " (four if the path begins at the root)" if rest.startswith(f"/{path}") else ""
    return f"write three slashes: {scheme}:///{path}{root}"


def is_writable(folder: Path) -> bool:
    """Return True if files can be made in the folder.

    On a read-only file system root cannot make files either.
    """
    return os.access(folder, os.W_OK)


def has_changes_beside(path: Path) -> bool:
    """Return True if a -wal file holds changes that the database itself does not have yet."""
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def read_only_sqlite_url(path: Path) -> str | None:
    """Return the SQLAlchemy URL to read a database in a read-only folder; None: use the usual URL.

    A database in WAL mode cannot be opened without a file beside it, unless SQLite is told that
    nobody changes it (`immutable`). The usual URL is used if a -wal file holds changes, because
    `immutable` would hide their rows.
    """
    if is_writable(path.parent) or has_changes_beside(path):
        return None
    name = quote(quote(path.resolve().as_posix()))  # SQLAlchemy undoes one, SQLite the other
    # name the driver: for sqlite:///file:... MLflow makes a folder "file:" in the current folder
    return f"sqlite+pysqlite:///file:{name}?mode=ro&immutable=1&uri=true"


def why_unreadable(path: Path) -> str:
    """Return why a read-only folder keeps a database from opening, and the cure, after a "; ".

    Return "" if the folder is writable: then something else is the cause.
    """
    if is_writable(path.parent):
        return ""
    if has_changes_beside(path):
        return (
            f"; {path.parent}: {NOT_WRITABLE}, and {path.name}-wal holds changes that SQLite must "
            "take over first: make the folder writable, or copy all of it to one that is"
        )
    return f"; {path.parent}: {NOT_WRITABLE}; give yourself permission, or copy it elsewhere"
