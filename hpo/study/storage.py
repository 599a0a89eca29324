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

from optuna import Study
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import NOT_FOUND_MSG
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from hpo.config.locations import Locations
from hpo.config.next_commands import command, shell_line, without_password
from hpo.errors import SettingsError, StudyError, StudyStopped
from hpo.study.locks import exclusive, opening, sqlite_path
from hpo.study.records import StudyRecord
from recsys.artifacts.sqlite import reading_url, sqlite_url
from recsys.drafts import new_database

BUSY_SECONDS = 60
DAMAGE = ("malformed", "not a database")  # in what SQLite says


def existing_storage(url: str) -> RDBStorage:
    """The Optuna storage at `url`, for commands that read a study: nothing is made.

    Raises:
        StudyError: there is no such SQLite file.
        SettingsError: as `open_storage`.
    """
    path = sqlite_path(url)
    if path is not None and not path.exists():
        start = command("run", locations=Locations(url))
        raise StudyError(
            f"{path}: no study storage there; start a study with {start}, "
            "or say where it is with --storage"
        )
    if path is None:
        return open_storage(url)
    with opening(
        url, StorageInternalError
    ):  # its tables are whole, so no lock: the folder may be read-only
        if reading := reading_url(path):
            return _storage(reading)
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
    with (
        opening(url, StorageInternalError),
        exclusive(url, "tables", role="create", on_wait=lambda _: None),
    ):
        if path is not None and not path.exists():
            _create_sqlite(path)
        return _connect(url)


def storage_if_there(url: str) -> RDBStorage | None:
    """Return the Optuna storage at `url`, or None where that would make an SQLite file.

    Raises:
        SettingsError: as `open_storage`.
    """
    path = sqlite_path(url)
    return open_storage(url) if path is None or path.exists() else None


def is_lost(error: BaseException) -> bool:
    """Whether Optuna says that a study is no longer in its storage."""
    return isinstance(error, KeyError) and error.args == (NOT_FOUND_MSG,)


def storage_failure(error: BaseException, study: Study | None = None) -> str | None:
    """Return one sentence on an error of the storage, or None for any other error.

    Args:
        error: what Optuna raised.
        study: the one that was read or written; a deleted one is named as the cause.
    """
    if isinstance(error, StudyStopped):
        return str(error)
    is_failure = isinstance(error, StorageInternalError | SQLAlchemyError)
    if is_lost(error) or (is_failure and study is not None and _is_deleted(study)):
        return (
            "the study was deleted from its storage while it ran; "
            "run the same command again to start anew"
        )
    return _failed(error.__cause__ or error) if is_failure else None


def _failed(cause: BaseException) -> str:
    reason = (str(cause) or type(cause).__name__).splitlines()[0]
    return f"the study's storage failed: {reason}; mend that, then run the same command again"


def _is_deleted(study: Study) -> bool:
    """Return True if the storage answers and no longer has the study."""
    try:
        there = study._storage.get_all_studies()
    except (StorageInternalError, SQLAlchemyError, StudyStopped):
        return False  # nobody knows; what failed before is the cause to name
    return study._study_id not in {found._study_id for found in there}


@contextmanager
def storage_failures(study: Study | None = None) -> Iterator[None]:
    """Turn errors of the storage into a sentence.

    Raises:
        StudyStopped: the storage failed or has lost `study`.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, KeyError) as error:
        sentence = storage_failure(error, study)
        if sentence is None:
            raise
        raise StudyStopped(sentence) from error


def _create_sqlite(path: Path) -> None:
    with new_database(path, ".optuna-") as draft:
        storage = _connect(sqlite_url(draft))
        storage.remove_session()
        storage.engine.dispose()  # the last connection folds the WAL into the file


def _storage(url: str, **engine: Any) -> RDBStorage:
    """Open an Optuna storage.

    Args:
        url: of the storage.
        engine: options of SQLAlchemy's engine.

    Raises:
        SettingsError: another version of Optuna made its tables.
    """
    try:
        return RDBStorage(url, engine_kwargs=engine)
    except RuntimeError as error:  # Optuna's word for that, and for nothing else here
        shown = without_password(url)
        if "storage upgrade" not in str(error):
            raise SettingsError(
                f"storage {shown}: a newer Optuna made its tables; "
                "update this one: pip install -U optuna"
            ) from error
        raise SettingsError(
            f"storage {shown}: an older Optuna made its tables; keep a copy of it, then run: "
            + shell_line("optuna", "storage", "upgrade", "--storage", url)
        ) from error


def _connect(url: str) -> RDBStorage:
    path = sqlite_path(url)
    if path is None:
        storage = _storage(url, pool_pre_ping=True)
        event.listen(storage.engine, "handle_error", _say_gone)
        return storage
    storage = _storage(url, connect_args={"timeout": BUSY_SECONDS})
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
            f"what can be read: {shell_line('sqlite3', str(path), '.recover')}"
        ) from context.original_exception


def _say_gone(context: Any) -> None:
    """Name a server that is gone; Optuna would speak of invalid data."""
    is_gone = context.is_disconnect or context.connection is None
    if is_gone and not context.is_pre_ping:  # after a failed ping SQLAlchemy connects anew
        raise StudyStopped(_failed(context.original_exception)) from context.original_exception


def _set_pragmas(connection: Any, _: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={BUSY_SECONDS}000"):
        connection.execute(f"PRAGMA {pragma}")
