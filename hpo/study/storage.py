"""The Optuna storage: creation of SQLite files that survives kills, and PostgreSQL servers."""

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

from hpo.config import Locations, command, shell_line
from hpo.errors import SettingsError, StorageUnreachable, StudyError, StudyStopped
from hpo.study.locks import exclusive, opening, sqlite_path
from hpo.study.records import StudyRecord
from hpo.study.server_lock import connection_options
from recsys.artifacts import read_only_sqlite_url, sqlite_url
from recsys.drafts import new_database
from recsys.passwords import without_password

BUSY_SECONDS = 60
# One kept connection, and three more while threads use the storage at the same time: a team shares
# the server's max_connections, and a storage is opened several times in a process.
SERVER_POOL = {"pool_size": 1, "max_overflow": 3, "pool_pre_ping": True}
READ_ONLY = "25006"  # PostgreSQL's code of a write that a read-only server refuses
DAMAGE = ("malformed", "not a database")  # parts of SQLite's messages on damaged files


def existing_storage(url: str) -> RDBStorage:
    """Open the Optuna storage at `url` for commands that read a study; create nothing.

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
    ):  # no lock: an existing file has all its tables, and its folder may be read-only
        if reading := read_only_sqlite_url(path):
            return _storage(reading)
        return _connect(url)


def folder_of_storage(url: str) -> Path:
    """Return the folder for the files of a storage, such as artifacts and parked trainings.

    An SQLite file's folder is its own; a server's is `studies` in the current folder, so each
    machine has a separate one.
    """
    path = sqlite_path(url)
    return path.parent if path else Path("studies")


def parking_place(url: str, record: StudyRecord) -> Path:
    """Return the folder for snapshots of a study's parked trainings.

    Snapshots stay on the machine that wrote them, unless there is an artifact store, see
    `hpo.study.files.sending`. A parked trial without its snapshot starts again at its first epoch.

    Args:
        url: URL of the storage.
        record: record of the study.
    """
    return folder_of_storage(url).resolve() / "parked" / record.uid / record.split_fingerprint


def snapshot_file(folder: Path, number: int) -> Path:
    """Return the file for the snapshot of a trial.

    Args:
        folder: see `parking_place`.
        number: number of the trial.
    """
    return folder / f"trial-{number}.safetensors"


@contextmanager
def working_folder(url: str, uid: str) -> Iterator[Path]:
    """Make a temporary folder for the launcher of a study; remove it when the block ends.

    The folder's name follows from the study, so the next launcher removes the folder of a killed
    one. The caller must hold the study's lock.

    Args:
        url: URL of the storage.
        uid: uid of the study.

    Raises:
        SettingsError: the folder cannot be made.
    """
    path = sqlite_path(url)
    place = str(path.resolve()) if path else url
    user = os.getuid() if hasattr(os, "getuid") else ""  # nobody can remove another's folder
    key = hashlib.sha256(f"{place}:{uid}:{user}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"hpo-{key}"
    shutil.rmtree(folder, ignore_errors=True)  # Windows: ending workers may still hold a file
    try:
        folder.mkdir(mode=0o700, exist_ok=os.name == "nt")  # refuse a folder that another user made
    except OSError as error:
        raise SettingsError(
            f"{folder}: cannot be made ({error.strerror}); remove it, or name another folder for "
            "temporary files in $TMPDIR"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_storage(url: str) -> RDBStorage:
    """Open the Optuna storage at `url`; create a missing SQLite file, in WAL mode.

    Processes that create tables take turns, since Optuna's own creation of tables collides. A new
    SQLite file is migrated under another name and moved into place, so a kill in the middle leaves
    no half-made database.

    Raises:
        SettingsError: the URL is neither SQLite nor PostgreSQL, or no database answers there.
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
    """Return the Optuna storage at `url`; None if its SQLite file does not exist.

    Raises:
        SettingsError: as `open_storage`.
    """
    path = sqlite_path(url)
    return open_storage(url) if path is None or path.exists() else None


def is_lost(error: BaseException) -> bool:
    """Return True if the error is Optuna's for a study that is no longer in its storage."""
    return isinstance(error, KeyError) and error.args == (NOT_FOUND_MSG,)


def storage_failure(error: BaseException, study: Study | None = None) -> str | None:
    """Return one sentence on an error of the storage, or None for any other error.

    Args:
        error: the exception that Optuna raised.
        study: the study that was read or written; if it was deleted, the sentence says so.
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
    """Return the sentence on a failure of the storage with its cause."""
    return str(StorageUnreachable(_reason(cause)))


def _reason(cause: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(cause) or type(cause).__name__).splitlines()[0]


def _is_deleted(study: Study) -> bool:
    """Return True if the storage answers and does not have the study."""
    try:
        there = study._storage.get_all_studies()
    except (StorageInternalError, SQLAlchemyError, StudyStopped):
        return False  # unknown; the caller then names the first failure as the cause
    return study._study_id not in {found._study_id for found in there}


@contextmanager
def translated_storage_errors(study: Study | None = None) -> Iterator[None]:
    """Turn errors of the storage inside the block into a StudyStopped of one sentence.

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
    """Create an SQLite storage under another name and move it to `path`."""
    with new_database(path, ".optuna-") as draft:
        storage = _connect(sqlite_url(draft))
        storage.remove_session()
        storage.engine.dispose()  # closing the last connection merges the WAL into the file


def _storage(url: str, **engine: Any) -> RDBStorage:
    """Open an Optuna storage.

    Args:
        url: URL of the storage.
        engine: options of SQLAlchemy's engine.

    Raises:
        SettingsError: another version of Optuna made its tables.
    """
    try:
        return RDBStorage(url, engine_kwargs=engine)
    except RuntimeError as error:  # Optuna raises it here only for tables of another version
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
    """Open a storage with handlers that name a damaged file or a lost server."""
    path = sqlite_path(url)
    if path is None:
        storage = _storage(url, connect_args=connection_options(url), **SERVER_POOL)
        event.listen(storage.engine, "handle_error", _raise_if_unreachable)
        return storage
    storage = _storage(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(storage.engine, "connect", _set_pragmas)
    event.listen(storage.engine, "handle_error", partial(_raise_if_damaged, path))
    storage.engine.dispose()  # close the constructor's connection, which lacks the pragmas
    return storage


def _raise_if_damaged(path: Path, context: Any) -> None:
    """Name a damaged SQLite file, which Optuna would report as data that is too long.

    Raises:
        StudyError: SQLite reports a damaged file.
    """
    reason = str(context.original_exception)
    if any(sign in reason for sign in DAMAGE):
        raise StudyError(
            f"{path}: the study storage is damaged ({reason}); put a copy of it back, or save "
            f"what can be read: {shell_line('sqlite3', str(path), '.recover')}"
        ) from context.original_exception


def _raise_if_unreachable(context: Any) -> None:
    """Name a lost server, which Optuna would report as invalid data.

    A server that has become read-only was the primary before a failover: its connection is given
    up, so that the next one may reach the new primary.

    Raises:
        StorageUnreachable: the connection is lost, or the server is read-only.
    """
    cause = context.original_exception
    if READ_ONLY in (getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None)):
        context.is_disconnect = True
    is_gone = context.is_disconnect or context.connection is None
    if is_gone and not context.is_pre_ping:  # SQLAlchemy reconnects after a failed ping
        raise StorageUnreachable(_reason(cause)) from cause


def _set_pragmas(connection: Any, _: object) -> None:
    """Set WAL mode and the wait for locks on a new SQLite connection."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={BUSY_SECONDS}000"):
        connection.execute(f"PRAGMA {pragma}")
