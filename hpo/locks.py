"""One launcher owns a study, one promotion a registry; the operating system's locks die with them.

Holding it proves that every trial left RUNNING is dead. SQLite studies are locked by a file in
`.locks` beside the database, PostgreSQL studies by an advisory lock on a connection of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy.engine import make_url

from hpo.errors import SettingsError, StudyError
from hpo.hold import FileHold, Hold, ServerHold
from recsys.mlflow_client import public_uri, sqlite_file
from recsys.sqlite_files import sqlite_url

POLL_SECONDS = 0.5


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
        lock.parent.mkdir(parents=True, exist_ok=True)
        with _file_lock(lock, held, on_wait):
            yield FileHold(path)


@contextmanager
def _file_lock(path: Path, held: str, on_wait: Callable[[str], None] | None) -> Iterator[None]:
    owner = path.with_suffix(".owner")  # Windows lets nobody read the locked file itself
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        sentence = f"{held} {_read_owner(owner)}"
        if on_wait is None:
            raise LockHeld(sentence) from None
        on_wait(sentence)
        lock.acquire(poll_interval=POLL_SECONDS)
    try:
        owner.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        yield
    finally:
        lock.release()


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
    engine = sqlalchemy.create_engine(storage, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            taken = sqlalchemy.text("SELECT pg_try_advisory_lock(:key)")
            if not connection.execute(taken, {"key": key}).scalar():
                sentence = f"{held} another process on this database"
                if on_wait is None:
                    raise LockHeld(sentence)
                on_wait(sentence)
                connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
            yield ServerHold(connection)
    finally:
        engine.dispose()
