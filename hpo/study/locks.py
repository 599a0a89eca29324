"""Locks: one launcher owns a study, one promotion a registry.

The operating system or PostgreSQL releases a lock when its owner dies, so the holder of a study's
lock knows that every trial left RUNNING is dead. SQLite studies are locked by a file in `.locks`
beside the database, PostgreSQL studies by an advisory lock on a separate connection.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from hpo.errors import SettingsError, StorageUnreachable, StudyError
from hpo.study.server_lock import ServerLock, StudyLock
from recsys.artifacts import sqlite_file, sqlite_url, why_unreadable
from recsys.passwords import public_uri, without_password

SHORTEST_POLL_SECONDS, POLL_SECONDS = 0.05, 0.5
OUTAGE_SECONDS = 3600.0  # with a server that does not answer: a restart, a failover, maintenance
POSTGRESQL = 'pip install "psycopg[binary]>=3.2"'  # the extra `postgresql`, wherever this came from


class LockHeld(StudyError):
    """Error for a lock that another process holds."""


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for a PostgreSQL URL.

    Raises:
        SettingsError: not a database URL, neither SQLite nor PostgreSQL, or SQLite in memory, which
            no second process can see.
    """
    try:
        parsed = make_url(url)
    except sqlalchemy.exc.ArgumentError:
        raise SettingsError(
            f"storage {without_password(url)!r} is no database URL; give sqlite:///FILE or "
            "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        ) from None
    if parsed.get_backend_name() == "postgresql":
        return None
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise SettingsError(
            f"storage {without_password(url)!r}: must be an SQLite file or a PostgreSQL database"
        )
    return Path(str(parsed.database))


@contextmanager
def opening(url: str, *also: type[Exception]) -> Iterator[None]:
    """Turn errors of opening a storage or its locks into a SettingsError of one sentence.

    Args:
        url: URL of the storage.
        also: further exceptions to turn, beside those of SQLAlchemy and the system.

    Raises:
        SettingsError: no database answers there, its driver is missing, or the disk is full.
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
        shown = without_password(url)
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
) -> Iterator[StudyLock]:
    """Hold one lock of a study while the block runs; yield a `StudyLock` that tells if it is lost.

    Args:
        storage: URL of the Optuna storage.
        name: name of the study.
        role: which lock: "launcher" to run trials, "sync" to write MLflow, "create" to make the
            tables.
        on_wait: called with a sentence on the owner before waiting for the lock; None: do not
            wait.

    Raises:
        LockHeld: another process has the lock, and `on_wait` is None.
    """
    held = f"study {name!r} is run by"
    with _locked(storage, f"{role}:{name}", role, held, on_wait, by_schema=True) as hold:
        yield hold


@contextmanager
def exclusive_within(
    storage: str, name: str, seconds: float, *, role: str = "launcher"
) -> Iterator[StudyLock]:
    """Hold one lock of a study as `exclusive` does, waiting up to `seconds` for it.

    Args:
        storage: URL of the Optuna storage.
        name: name of the study.
        seconds: longest wait for the lock.
        role: which lock, see `exclusive`.

    Raises:
        LockHeld: another process still has the lock after that time.
    """
    deadline, pause = time.monotonic() + seconds, SHORTEST_POLL_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                hold = stack.enter_context(exclusive(storage, name, role=role))
                break
            except LockHeld:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
            time.sleep(min(pause, left))
            pause = min(2 * pause, POLL_SECONDS)
        yield hold


def is_owned(storage: str, name: str) -> bool | None:
    """Return True if a launcher, perhaps on another machine, owns the study.

    None: this process may not write in the folder of the storage, so the lock cannot be tested.

    Args:
        storage: URL of the Optuna storage.
        name: name of the study.
    """
    if (path := sqlite_path(storage)) is not None and not os.access(path.parent, os.W_OK):
        return None
    try:
        with exclusive(storage, name):
            return False
    except LockHeld:
        return True


@contextmanager
def exclusive_registry(
    storage: str, tracking_uri: str, on_wait: Callable[[str], None]
) -> Iterator[None]:
    """Hold the lock of a model registry while the block runs, so that only one process promotes.

    The lock for a tracking server lies beside the Optuna storage, so promotions from another
    storage into the same server are not excluded.

    Args:
        storage: URL of the Optuna storage.
        tracking_uri: URI of the MLflow that holds the registry.
        on_wait: called with a sentence on the owner before waiting for the lock.
    """
    file = sqlite_file(tracking_uri)
    place = storage if file is None else sqlite_url(file.resolve())
    uri = public_uri(tracking_uri)
    name = "registry" if file else f"registry:{uri}"
    held = f"the registry at {uri} is changed by"
    with _locked(place, name, "promote", held, on_wait, by_schema=False):
        yield


@contextmanager
def _locked(
    storage: str,
    name: str,
    role: str,
    held: str,
    on_wait: Callable[[str], None] | None,
    *,
    by_schema: bool,
) -> Iterator[StudyLock]:
    """Hold the lock `name` beside a storage; `held` begins the sentence on its owner.

    Schemas of one database of PostgreSQL are storages of their own; MLflow is the same for them.
    """
    path = sqlite_path(storage)
    if path is None:
        make = partial(ServerLock, storage, name, by_schema=by_schema)
        with _advisory_lock(make, storage, held, on_wait) as hold:
            yield hold
    else:
        key = hashlib.sha256(name.encode()).hexdigest()[:8]
        lock = path.parent / ".locks" / f"{path.name}-{role}-{key}.lock"
        with opening(storage):
            lock.parent.mkdir(parents=True, exist_ok=True)
        with _file_lock(storage, lock, held, on_wait):
            yield FileHold(path)


@contextmanager
def _file_lock(
    storage: str, path: Path, held: str, on_wait: Callable[[str], None] | None
) -> Iterator[None]:
    """Hold a file lock while the block runs; `held` begins the sentence on its owner.

    Raises:
        LockHeld: another process has the lock, and `on_wait` is None.
    """
    owner = path.with_suffix(".owner")  # on Windows the locked file itself cannot be read
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
    """Return True if the lock was free; this process holds it now."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _write_owner(path: Path) -> None:
    """Write host and process id for others to read; skip it on a full disk."""
    try:
        path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    except OSError:  # the lock does not depend on this file
        path.unlink(missing_ok=True)  # the file may name a previous owner


def _read_owner(path: Path) -> str:
    """Return the owner as `process PID on HOST`, or "another process" if it is unknown."""
    try:
        owner = json.loads(path.read_text())
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"


@contextmanager
def _advisory_lock(
    make: Callable[[], ServerLock],
    storage: str,
    held: str,
    on_wait: Callable[[str], None] | None,
) -> Iterator[ServerLock]:
    """Hold an advisory lock of PostgreSQL; `held` begins the sentence on its owner.

    Raises:
        LockHeld: another session has the lock, and `on_wait` is None.
    """
    with opening(storage):
        hold = make()
    try:
        with opening(storage):
            is_free = hold.take()
        if not is_free:
            sentence = f"{held} another process on this database"
            if on_wait is None:
                raise LockHeld(sentence)
            on_wait(sentence)
            with opening(storage):
                _wait_for(hold)
        yield hold
    finally:
        hold.close()


def _wait_for(hold: ServerLock) -> None:
    """Wait until the lock is free, also while the server is out of reach for some time."""
    answered = time.monotonic()
    while True:
        time.sleep(POLL_SECONDS)
        try:
            if hold.take():
                return
            answered = time.monotonic()
        except SQLAlchemyError:
            if time.monotonic() - answered > OUTAGE_SECONDS:
                raise


class FileHold(StudyLock):
    """A held lock of an SQLite file.

    The operating system releases the lock only when its owner dies. The database file, however, may
    be deleted or replaced under an open connection, and later writes would then be lost.

    Args:
        storage: the locked SQLite file; it need not exist yet.
    """

    def __init__(self, storage: Path) -> None:
        self._storage, self._file = storage, _identity(storage)

    def problem(self) -> str | None:
        """Return a sentence if the file was deleted or replaced; None: it is the same file."""
        now = _identity(self._storage)
        if self._file is None:
            self._file = now
        if now == self._file:
            return None
        # A new connection to a deleted file makes another one, so the two cannot be told apart.
        return f"{self._storage} was deleted or replaced"


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode number of a file; None if there is no such file.

    Raises:
        StorageUnreachable: its folder does not answer, as on a network that is away.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageUnreachable(f"{path}: {error.strerror}") from error
    return found.st_dev, found.st_ino
