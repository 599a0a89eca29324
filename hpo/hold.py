"""A lock that is held, and whether it still is."""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

SESSION = sqlalchemy.text("SELECT pg_backend_pid()")


class Hold:
    """Of a lock that nobody takes away."""

    def problem(self) -> str | None:
        """Why somebody else may have the lock by now; None: it is held."""
        return None


class FileHold(Hold):
    """Of a file's lock: the operating system takes it from nobody who lives.

    But the storage may be deleted or put back under an open connection, which goes on writing
    into a file that nobody will find.

    Args:
        storage: the SQLite file whose lock it is; it may come into being later.
    """

    def __init__(self, storage: Path) -> None:
        self._storage, self._file = storage, _identity(storage)

    def problem(self) -> str | None:
        now = _identity(self._storage)
        if self._file is None:
            self._file = now
        if now == self._file:
            return None
        return f"{self._storage} was deleted" if now is None else f"{self._storage} was replaced"


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class ServerHold(Hold):
    """Of an advisory lock of PostgreSQL, which ends with its session. **Thread-safe.**

    A connection of its own, mostly idle, which a restart, an administrator or a firewall may end.

    Args:
        connection: the one that took the lock.
    """

    def __init__(self, connection: sqlalchemy.Connection) -> None:
        self._connection, self._turn = connection, threading.Lock()
        self._session = self._connection.execute(SESSION).scalar()
        self._problem: str | None = None

    def problem(self) -> str | None:
        with self._turn:
            if self._problem is None:  # once lost it may have been another's since
                self._problem = self._ask()
            return self._problem

    def _ask(self) -> str | None:
        try:
            session = self._connection.execute(SESSION).scalar()
        except SQLAlchemyError as error:
            return str(error.__cause__ or error).splitlines()[0]
        if session != self._session:  # connected again, or a pooler between us and the server
            return f"session {self._session} is {session} now"
        return None
