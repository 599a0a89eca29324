"""The Optuna storage: SQLite files made safely, PostgreSQL as it is."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import NOT_FOUND_MSG
from sqlalchemy import event

from hpo.errors import SettingsError, StudyError
from hpo.locks import exclusive, sqlite_path
from hpo.records import StudyRecord
from recsys.sqlite_files import reading_url, sqlite_url, why_unreadable

BUSY_SECONDS = 60
POSTGRESQL = 'pip install -e ".[postgresql]"'
DAMAGE = ("malformed", "not a database")  # in what SQLite says


def existing_storage(url: str) -> RDBStorage:
    """The Optuna storage at `url`, for commands that read a study: nothing is made.

    Raises:
        StudyError: there is no such SQLite file.
        SettingsError: as `open_storage`.
    """
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise StudyError(
            f"{path}: no study storage there; start a study with python -m hpo.run, "
            "or say where it is with --storage"
        )
    if path is None:
        return open_storage(url)
    with _opening(url):  # its tables are whole, so no lock: the folder may be read-only
        if reading := reading_url(path):
            return RDBStorage(reading)
        return _connect(url)


def beside(url: str) -> Path:
    """The folder for what belongs to a storage and is no row of it: an SQLite file's own.

    Of a server it is `studies` in the current folder, so of this machine alone.
    """
    path = sqlite_path(url)
    return path.parent if path else Path("studies")


def parking_place(url: str, record: StudyRecord) -> Path:
    """The folder for a study's trainings that are put aside: beside an SQLite file.

    They are of this machine. Where they are missing, a parked trial starts at its first epoch.
    """
    return beside(url).resolve() / "parked" / record.uid / record.split_fingerprint


@contextmanager
def working_folder(url: str, uid: str) -> Iterator[Path]:
    """The temporary folder of the launcher that holds a study's lock; gone when the block ends.

    Its name is the study's, so that the next launcher clears what a killed one left.
    """
    path = sqlite_path(url)
    place = str(path.resolve()) if path else url
    key = hashlib.sha256(f"{place}:{uid}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"hpo-{key}"
    shutil.rmtree(folder, ignore_errors=True)  # Windows: workers that still end hold the file
    folder.mkdir(mode=0o700, exist_ok=os.name == "nt")  # else whose is it?
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_storage(url: str) -> RDBStorage:
    """The Optuna storage at `url`; an SQLite file is made if missing, in WAL mode.

    First starters take turns, since Optuna's own creation of tables collides. A new SQLite file
    is migrated under another name and moved into place, so that a kill in the middle leaves no
    half-made database.

    Raises:
        SettingsError: the URL is neither SQLite nor PostgreSQL, or nothing answers there.
    """
    path = sqlite_path(url)
    with _opening(url), exclusive(url, "tables", role="create", on_wait=lambda _: None):
        if path is not None and not path.exists():
            _create_sqlite(path)
        return _connect(url)


@contextmanager
def _opening(url: str) -> Iterator[None]:
    """What goes wrong with a storage, as SettingsError."""
    try:
        yield
    except (
        sqlalchemy.exc.SQLAlchemyError,
        StorageInternalError,
        ImportError,  # the database driver
        OSError,
    ) as error:
        shown = sqlalchemy.make_url(url).render_as_string(hide_password=True)
        reason = str(error.__cause__ or error).splitlines()[0]
        path = sqlite_path(url)
        cure = why_unreadable(path) if path else ""
        if isinstance(error, ImportError) or isinstance(error.__cause__, ImportError):
            cure = f"; install its driver: {POSTGRESQL}"
        raise SettingsError(f"storage {shown} cannot be opened: {reason}{cure}") from error


def is_lost(error: BaseException) -> bool:
    """Whether Optuna says that a study is no longer in its storage."""
    return isinstance(error, KeyError) and error.args == (NOT_FOUND_MSG,)


def _create_sqlite(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".optuna-") as folder:
        draft = Path(folder) / path.name
        storage = _connect(sqlite_url(draft))
        storage.remove_session()
        storage.engine.dispose()  # the last connection folds the WAL into the file
        for suffix in ("-wal", "-shm"):  # of a file deleted since: SQLite would play them back
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        draft.replace(path)


def _connect(url: str) -> RDBStorage:
    path = sqlite_path(url)
    if path is None:
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}})
    event.listen(storage.engine, "connect", _set_pragmas)
    event.listen(storage.engine, "handle_error", partial(_say_damage, path))
    storage.engine.dispose()  # the constructor has opened a connection without the pragmas
    return storage


def _say_damage(path: Path, context: Any) -> None:
    """Optuna would report a damaged file as data that is too long."""
    reason = str(context.original_exception)
    if any(sign in reason for sign in DAMAGE):
        raise StudyError(
            f"{path}: the study storage is damaged ({reason}); put a copy of it back, or save "
            f"what can be read: sqlite3 {path} .recover"
        ) from context.original_exception


def _set_pragmas(connection: Any, _: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={BUSY_SECONDS}000"):
        connection.execute(f"PRAGMA {pragma}")
