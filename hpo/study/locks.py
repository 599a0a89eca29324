"""One launcher owns a study, one promotion a registry; the operating system's locks die with them.

Holding it proves that every trial left RUNNING is dead. SQLite studies are locked by a file in
`.locks` beside the database, PostgreSQL studies by an advisory lock on a connection of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from hpo.errors import SettingsError, StudyError
from recsys.artifacts import public_uri, sqlite_file, sqlite_url, why_unreadable

POLL_SECONDS = 0.5
POSTGRESQL = 'pip install -e ".[postgresql]"'


class LockHeld(StudyError):
    """Somebody else holds the lock."""


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite URL; None for a server's URL.

    Raises:
        SettingsError: not a URL, or SQLite in memory, which no second process can see.
    """
    try:
        parsed = make_url(url)
    except sqlalchemy.exc.ArgumentError:
        raise SettingsError(
            f"storage {url!r} is no database URL; give sqlite:///FILE or "
            "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        ) from None
    if parsed.get_backend_name() == "postgresql":
        return None
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise SettingsError(
            f"storage {parsed.render_as_string(hide_password=True)!r}: "
            "must be an SQLite file or a PostgreSQL database"
        )
    return Path(str(parsed.database))


@contextmanager
def opening(url: str, *also: type[Exception]) -> Iterator[None]:
    """Turn what goes wrong with a storage or its locks into one sentence.

    Args:
        url: of the storage.
        also: what a library raises beside errors of the database and the system.

    Raises:
        SettingsError: nothing answers there, its driver is missing, or the disk is full.
    """
    expected: tuple[type[Exception], ...] = (
        sqlalchemy.exc.SQLAlchemyError,
        ImportError,  # the database driver
        OSError,
        *also,
    )
    try:
        yield
    except expected as error:
        shown = make_url(url).render_as_string(hide_password=True)
        reason = str(error.__cause__ or error).splitlines()[0]
        path = sqlite_path(url)
        cure = why_unreadable(path) if path else ""
        if isinstance(error, ImportError) or isinstance(error.__cause__, ImportError):
            cure = f"; install its driver: {POSTGRESQL}"
        raise SettingsError(f"storage {shown} cannot be opened: {reason}{cure}") from error


@contextmanager
def exclusive(
    storage: str,
    name: str,
    *,
    role: str = "launcher",
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[Hold]:
    """Hold the lock of one study while the block runs, which can ask whether it still does.

    Args:
        storage: URL of the Optuna storage.
        name: of the study.
        role: "launcher" for who runs trials, "sync" for who writes MLflow, "create" for who
            makes the tables.
        on_wait: if given, wait until the lock is free, after telling this who has it.

    Raises:
        LockHeld: somebody else has it, and `on_wait` is None.
    """
    with _locked(storage, f"{role}:{name}", role, f"study {name!r} is run by", on_wait) as hold:
        yield hold


@contextmanager
def exclusive_registry(
    storage: str, tracking_uri: str, on_wait: Callable[[str], None]
) -> Iterator[None]:
    """Hold the lock of a model registry while the block runs: champions follow one another.

    For a tracking server it is a lock beside the Optuna storage, so it does not hold off
    promotions out of another storage into the same server.

    Args:
        storage: URL of the Optuna storage.
        tracking_uri: of the MLflow that holds the registry.
        on_wait: is told who has the lock, before this waits for it.
    """
    file = sqlite_file(tracking_uri)
    place = storage if file is None else sqlite_url(file.resolve())
    uri = public_uri(tracking_uri)
    name = "registry" if file else f"registry:{uri}"
    with _locked(place, name, "promote", f"the registry at {uri} is changed by", on_wait):
        yield


@contextmanager
def _locked(
    storage: str, name: str, role: str, held: str, on_wait: Callable[[str], None] | None
) -> Iterator[Hold]:
    """The lock `name` beside a storage; `held` begins the sentence on who has it."""
    key = hashlib.sha256(name.encode()).digest()
    path = sqlite_path(storage)
    if path is None:
        number = int.from_bytes(key[:8], "big", signed=True)
        with _advisory_lock(storage, number, held, on_wait) as hold:
            yield hold
    else:
        lock = path.parent / ".locks" / f"{path.name}-{role}-{key.hex()[:8]}.lock"
        with opening(storage):
            lock.parent.mkdir(parents=True, exist_ok=True)
        with _file_lock(storage, lock, held, on_wait):
            yield FileHold(path)


@contextmanager
def _file_lock(
    storage: str, path: Path, held: str, on_wait: Callable[[str], None] | None
) -> Iterator[None]:
    owner = path.with_suffix(".owner")  # Windows lets nobody read the locked file itself
    lock = FileLock(path)
    with opening(storage):
        is_free = _try(lock)
    if not is_free:
        sentence = f"{held} {_read_owner(owner)}"
        if on_wait is None:
            raise LockHeld(sentence)
        on_wait(sentence)
        with opening(storage):
            lock.acquire(poll_interval=POLL_SECONDS)
    try:
        _write_owner(owner)
        yield
    finally:
        lock.release()


def _try(lock: FileLock) -> bool:
    """Return True if the lock was free and is ours now."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _write_owner(path: Path) -> None:
    """Tell others who holds the lock; on a full disk they are told "another process"."""
    try:
        path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    except OSError:  # the lock itself is held all the same
        path.unlink(missing_ok=True)  # it may name the owner before


def _read_owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text())
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"


@contextmanager
def _advisory_lock(
    storage: str, key: int, held: str, on_wait: Callable[[str], None] | None
) -> Iterator[ServerHold]:
    with opening(storage):
        engine = sqlalchemy.create_engine(storage, poolclass=sqlalchemy.NullPool)
    try:
        with ExitStack() as stack:
            taken = sqlalchemy.text("SELECT pg_try_advisory_lock(:key)")
            with opening(storage):
                connection = stack.enter_context(engine.connect())
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                is_free = connection.execute(taken, {"key": key}).scalar()
            if not is_free:
                sentence = f"{held} another process on this database"
                if on_wait is None:
                    raise LockHeld(sentence)
                on_wait(sentence)
                wait = sqlalchemy.text("SELECT pg_advisory_lock(:key)")
                with opening(storage):
                    connection.execute(wait, {"key": key})
            with opening(storage):
                hold = ServerHold(connection)
            yield hold
    finally:
        engine.dispose()


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
