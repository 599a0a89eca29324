"""The only access to MLflow: a client with bounded waits, no noise and no global state.

MLflow's own defaults wait 245 seconds per call for a server that is gone, store runs relative to
the current folder, and send telemetry. Only this module overrides these defaults.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from recsys.artifacts.sqlite import (
    read_only_sqlite_url,
    sqlite_url,
    why_unreadable,
    without_three_slashes,
)
from recsys.drafts import new_database
from recsys.errors import TrackingError
from recsys.passwords import public_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

HTTP = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # with 0, calls fail when a server restarts
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds per attempt
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # printing costs a request per run, too
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # the bar is shown for local copies, too
}

UNWRITABLE = ("unable to open", "readonly database", "Read-only", "Permission denied")
CAUSE = re.compile(r"Caused by .*: (.+?)[\"']\)\)$")  # the reason in urllib3's long message


class TrackingUriError(TrackingError):
    """A tracking URI of a kind that cannot work; no retry would help."""

    exit_code = 2


def open_client(tracking_uri: str) -> MlflowClient:
    """Return a client for a tracking URI; a missing SQLite file is made.

    The client gives up on a server that is gone or hangs within about 20 seconds a call, unless the
    environment says otherwise (MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT).
    No request is sent yet.

    Raises:
        TrackingUriError: a folder (MLflow's old file store) or no URI at all.
        TrackingError: the database cannot be opened.
    """
    check_tracking_uri(tracking_uri)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with tracking_errors(tracking_uri):
        from mlflow import MlflowClient

        for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # their messages are raised as well
        path = sqlite_file(tracking_uri)
        made = path is not None and not path.exists() and _make_database(path)
        reading = read_only_sqlite_url(path) if path else None
        # MLflow keeps the store of each URI: a relative one would stay the first folder's.
        absolute = sqlite_url(path.absolute()) if path and not path.is_absolute() else None
        client = MlflowClient(tracking_uri=reading or absolute or tracking_uri)
        if made:  # close connections that this process may still have to a file deleted since
            client._tracking_client.store._dispose_engine()
        return client


def check_tracking_uri(tracking_uri: str) -> None:
    """Check that MLflow can store runs at a tracking URI, without importing mlflow.

    Raises:
        TrackingUriError: a folder, a database in memory, a scheme that MLflow does not know, or no
            URI at all.
    """
    try:
        scheme = urlsplit(tracking_uri).scheme.partition("+")[0]
    except ValueError as error:  # the URI may hold a password
        raise TrackingUriError(
            f"tracking URI: {error}; give sqlite:///FILE.db or http://SERVER:PORT"
        ) from None
    if scheme not in (*HTTP, *DATABASES, "file") and len(scheme) > 1:  # C: is a folder
        raise TrackingUriError(
            f"tracking URI {tracking_uri!r}: MLflow knows no {scheme}://; give sqlite:///FILE.db "
            "or http://SERVER:PORT"
        )
    if scheme not in (*HTTP, *DATABASES):
        raise TrackingUriError(
            f"tracking URI {tracking_uri!r}: MLflow keeps no runs in folders any more; give "
            "sqlite:///FILE.db or http://SERVER:PORT. To bring old runs along: "
            "mlflow migrate-filestore --source FOLDER --target sqlite:///FILE.db"
        )
    if scheme == "sqlite" and sqlite_file(tracking_uri) is None:
        raise TrackingUriError(
            f"tracking URI {tracking_uri!r}: a database in memory is gone with its process; "
            "give sqlite:///FILE.db"
        )


def is_server(tracking_uri: str) -> bool:
    """Return True if the URI is the address of a tracking server, not of a database."""
    return urlsplit(tracking_uri).scheme in HTTP


def sqlite_file(tracking_uri: str) -> Path | None:
    """Return the file behind an SQLite tracking URI; None for servers and databases in memory.

    Raises:
        TrackingUriError: the URI has not the three slashes of a file.
    """
    if cure := without_three_slashes(tracking_uri):
        raise TrackingUriError(f"tracking URI {tracking_uri!r}: {cure}")
    if urlsplit(tracking_uri).scheme.partition("+")[0] != "sqlite":
        return None
    from sqlalchemy.engine import make_url

    name = make_url(tracking_uri).database
    if name in (None, "", ":memory:"):
        return None
    # a file: URI is how open_client opens a database in a folder that cannot be written
    return Path(unquote(urlsplit(str(name)).path) if str(name).startswith("file:") else str(name))


def artifact_root(tracking_uri: str) -> str | None:
    """Return the file: URI of artifacts beside an SQLite database; None if the server decides."""
    path = sqlite_file(tracking_uri)
    return (path.resolve().parent / "artifacts").as_uri() if path else None


def load_lines(tracking_uri: str, run_id: str) -> list[str]:
    """Return the lines of Python that load a run's model, to be pasted as they are.

    The lines are not indented, since Python's prompt refuses that. They set the URI, because MLflow
    would otherwise search the current folder and make a mlflow.db there.

    Args:
        tracking_uri: the store of the run; a URI with a password is left to the environment.
        run_id: id of a run with a "model".
    """
    shown = public_uri(tracking_uri)
    lines = ["import mlflow.pytorch", f"mlflow.set_tracking_uri({shown!r})"]
    if shown != tracking_uri:
        where = f'os.environ["MLFLOW_TRACKING_URI"])  # {shown}, with its password'
        lines = ["import os", lines[0], f"mlflow.set_tracking_uri({where}"]
    return [*lines, f'model = mlflow.pytorch.load_model("runs:/{run_id}/model")']


@contextmanager
def tracking_errors(tracking_uri: str) -> Iterator[None]:
    """Turn all errors of MLflow inside the block into TrackingError, without credentials.

    Raises:
        TrackingError: MLflow, the database, the network or the file system raised an error.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if found := CAUSE.search(reason):
            reason = found[1]
        secret = urlsplit(tracking_uri).netloc.rpartition("@")[0]
        path = sqlite_file(tracking_uri)
        if path is not None and any(word in reason for word in UNWRITABLE):
            reason += why_unreadable(path)
        for text in {secret, unquote(secret)} - {""}:
            reason = reason.replace(text, "***")
        raise TrackingError(f"MLflow at {public_uri(tracking_uri)}: {reason}") from None


def _make_database(path: Path) -> bool:
    """Create the database file if it is missing, and return True if it was.

    MLflow's migrations are no transaction: killed in the middle, they leave a file that no later
    start can repair. So they run on a draft, which then moves into place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".create.lock")):
        if path.exists():
            return False
        print(f"preparing {path} (once; up to half a minute)", file=sys.stderr)
        with new_database(path, ".mlflow-") as draft:
            _migrate(draft, path.resolve().parent / "artifacts")
    return True


def _migrate(path: Path, artifacts: Path) -> None:
    """Create MLflow's tables in a new file whose experiments store artifacts in `artifacts`."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import text

    store = SqlAlchemyStore(sqlite_url(path), artifacts.as_uri())
    with store.engine.connect() as connection:  # the file keeps this mode; it halves sync times
        connection.execute(text("PRAGMA journal_mode=WAL"))
    store._dispose_engine()  # Windows cannot move an open file


def experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment; create it if it is missing, restore it if it was deleted.

    On SQLite its artifacts go beside the database; MLflow would put them into the current folder.

    Args:
        client: client of the tracking store.
        name: name of the experiment.

    Raises:
        TrackingError: MLflow does not answer or refuses.
    """
    from mlflow.exceptions import MlflowException

    with tracking_errors(client.tracking_uri):
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, artifact_root(client.tracking_uri)))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = client.get_experiment_by_name(name)  # another process was faster
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
