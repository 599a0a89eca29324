"""A lock in PostgreSQL, taken again after a lost connection unless somebody else had it."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from typing import Any

import sqlalchemy
from optuna import Study
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from hpo.errors import StorageUnreachable

LIBPQ = ("psycopg", "psycopg2")
# Seconds (tcp_user_timeout: milliseconds) until a server that is gone without a word is noticed.
TIMEOUTS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def connection_options(url: str) -> dict[str, Any]:
    """Return SQLAlchemy's `connect_args` for a server: time-outs, except those that the URL has."""
    parsed = make_url(url)
    if parsed.get_driver_name() not in LIBPQ:
        return {}
    return {name: value for name, value in TIMEOUTS.items() if name not in parsed.query}


class StudyLock:
    """A lock that this process holds and never loses; a `ServerLock` may be lost."""

    def problem(self) -> str | None:
        """Return the reason why another process may have the lock now; None: it is still held."""
        return None

    def sign(self, study: Study) -> None:
        """Mark a study as run by the holder, so that a lost lock can be taken again."""


MARK = "hpo:lock"
SCHEMA = sqlalchemy.text("SELECT current_schema()")  # where the tables of a storage are made
TAKE = sqlalchemy.text("SELECT pg_try_advisory_lock(:key)")
OF_SESSION = " FROM pg_stat_activity WHERE pid = :pid AND backend_start = :start"
SESSION = sqlalchemy.text(
    "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
)
END_SESSION = sqlalchemy.text(f"SELECT pg_terminate_backend(pid){OF_SESSION}")
COUNT_SESSION = sqlalchemy.text(f"SELECT count(*){OF_SESSION}")
END_SECONDS = 5.0  # for the server to end a session
AGAIN_SECONDS = 2.0  # `hpo list` holds the lock of a study for a moment


def lock_key(name: str, schema: str | None) -> int:
    """Return the number of a lock of PostgreSQL.

    In the default schema the number is that of former versions, so that their launchers and those
    of this one exclude each other.

    Args:
        name: name of the lock.
        schema: schema of the storage; None: the lock is of the whole database.
    """
    place = name if schema in (None, "public") else f"{schema}\0{name}"
    return int.from_bytes(hashlib.sha256(place.encode()).digest()[:8], "big", signed=True)


class ServerLock(StudyLock):
    """An advisory lock of PostgreSQL, which ends with its session. **Thread-safe.**

    The session belongs to a separate connection, mostly idle, which a restart, an administrator or
    a firewall may close. If the lock is signed it is then taken again, unless another process has
    it, or had it in the meantime and may have changed the study.

    Args:
        url: URL of the database.
        name: name of the lock.
        by_schema: True if each schema of the database has a lock of this name.
    """

    def __init__(self, url: str, name: str, *, by_schema: bool = True) -> None:
        self._engine = sqlalchemy.create_engine(
            url,
            poolclass=sqlalchemy.NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=connection_options(url),
        )
        self._name, self._by_schema = name, by_schema
        self._key: int | None = None
        self._turn = threading.Lock()
        self._connection: sqlalchemy.Connection | None = None
        self._session: tuple[Any, ...] = ()
        self._signed: tuple[Study, str] | None = None
        self._problem: str | None = None

    def take(self) -> bool:
        """Return True if the lock was free; it is now held.

        Raises:
            SQLAlchemyError: the server does not answer.
        """
        try:
            connection = self._connection = self._connection or self._engine.connect()
            if self._key is None:
                schema = connection.execute(SCHEMA).scalar() if self._by_schema else None
                self._key = lock_key(self._name, schema)
            is_free = bool(connection.execute(TAKE, {"key": self._key}).scalar())
            if is_free:
                self._session = tuple(connection.execute(SESSION).one())
        except SQLAlchemyError:
            self._disconnect()
            raise
        return is_free

    def sign(self, study: Study) -> None:
        """Mark a study as run by the holder, so that a lost lock can be taken again.

        Args:
            study: the study that the lock protects.
        """
        mark = uuid.uuid4().hex
        study._storage.set_study_system_attr(study._study_id, MARK, mark)
        self._signed = study, mark

    def problem(self) -> str | None:
        """Return the reason why another process may have the lock; None: it is held.

        Raises:
            StorageUnreachable: the connection is lost and the server does not answer, so nobody
                knows.
        """
        with self._turn:
            if self._problem is None:  # a lock that another one had stays lost
                self._problem = self._look()
            return self._problem

    def close(self) -> None:
        """Release the lock."""
        self._disconnect()
        self._engine.dispose()

    def _disconnect(self) -> None:
        """Close the connection, which ends the session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _look(self) -> str | None:
        """Ask the server for the session; take the lock again if it ended."""
        reason = "no connection"
        if self._connection is not None:
            try:
                session = tuple(self._connection.execute(SESSION).one())
            except SQLAlchemyError as error:
                reason = _first_line(error)
                self._disconnect()
            else:
                if session == self._session:
                    return None
                return f"session {self._session[0]} is {session[0]} now"  # a connection pooler
        if self._signed is None:
            return reason
        try:
            return self._take_again(*self._signed)
        except BaseException as error:
            self._disconnect()  # a lock that was taken but not checked is not held
            if isinstance(error, SQLAlchemyError):
                raise StorageUnreachable(_first_line(error)) from error
            raise

    def _take_again(self, study: Study, mark: str) -> str | None:
        """Take the lock in a new session; return a sentence if somebody else has or had it."""
        self._end_old_session()
        deadline = time.monotonic() + AGAIN_SECONDS
        while not self.take():
            if time.monotonic() > deadline:
                return "another launcher has it"
            time.sleep(0.1)
        try:
            there = study._storage.get_study_system_attrs(study._study_id).get(MARK)
        except KeyError:
            return "the study was deleted"
        return None if there == mark else "another launcher had it in the meantime"

    def _end_old_session(self) -> None:
        """End this process's old session if the server still has it, for instance after a cut."""
        old = dict(zip(("pid", "start"), self._session, strict=True))
        with self._engine.connect() as connection:
            connection.execute(END_SESSION, old)
            deadline = time.monotonic() + END_SECONDS
            while connection.execute(COUNT_SESSION, old).scalar():
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)


def _first_line(error: SQLAlchemyError) -> str:
    """Return the first line of the driver's message."""
    return (str(error.__cause__ or error) or type(error).__name__).splitlines()[0]
