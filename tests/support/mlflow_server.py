"""Real MLflow for tests: databases that are migrated once, a server over HTTP, and a reader."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from hpo.dashboards.servers import MlflowServer, wait_until_ready
from recsys.artifacts.mlflow_client import sqlite_file
from tests.support.mlflow_store import migrated_store

Point = tuple[str, int, int, float]  # name, step, time_ms, value
EXPERIMENT = "two-tower-hpo"
RUNS = """
    SELECT run_uuid, runs.name, status, start_time, end_time, artifact_uri
    FROM runs JOIN experiments USING (experiment_id)
    WHERE experiments.name = ? AND experiments.lifecycle_stage = 'active'
        AND runs.lifecycle_stage = 'active'
    ORDER BY run_uuid
"""


def eventually(
    condition: Callable[[], object], seconds: float = 60.0, pause_seconds: float = 0.02
) -> None:
    """Wait until the condition holds; fail after a time that no healthy machine needs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not true after {seconds} s"
        threading.Event().wait(pause_seconds)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mlflow_template() -> Path:
    """An empty, migrated MLflow database. Migrating takes seconds, copying does not."""
    return migrated_store()


@pytest.fixture
def mlflow_uri(tmp_path: Path, mlflow_template: Path) -> str:
    """A tracking URI of an empty database of this test's own."""
    path = Path(shutil.copy(mlflow_template, tmp_path / "mlflow.db"))
    return f"sqlite:///{path.as_posix()}"


class TrackingServer:
    """A real `mlflow server` in a process of its own; it can be stopped and started again."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._server: MlflowServer | None = None

    def start(self) -> None:
        uri = f"sqlite:///{self.database.as_posix()}"
        self._server = MlflowServer(uri, "127.0.0.1", self._port, ["127.0.0.1"], "--port")
        assert wait_until_ready(self._server, lambda seconds: threading.Event().wait(seconds))

    def stop(self) -> None:
        if self._server:
            self._server.stop()
        self._server = None


@pytest.fixture(scope="session")
def tracking_server(
    tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path
) -> Iterator[TrackingServer]:
    """One server for all tests; each uses its own experiment."""
    folder = tmp_path_factory.mktemp("server")
    server = TrackingServer(Path(shutil.copy(mlflow_template, folder / "mlflow.db")))
    server.start()
    yield server
    server.stop()


@dataclass
class StoredRun:
    """A run as it stands in the database."""

    run_id: str
    name: str
    status: str
    start_ms: int
    end_ms: int | None
    artifact_uri: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def series(self, name: str) -> list[tuple[int, int, float]]:
        """(step, time_ms, value) of one metric, in order."""
        return [point[1:] for point in self.points if point[0] == name]

    def comparable(self) -> tuple[object, ...]:
        """All that two syncs of the same study must agree on: the parent's id is not among it."""
        tags = {name: value for name, value in self.tags.items() if name != "mlflow.parentRunId"}
        tags["hpo.synced"] = tags["hpo.synced"].rpartition(":")[0]
        times = (self.start_ms, self.end_ms)
        return (self.name, self.status, times, self.params, tags, self.points, self.files)


def stored_runs(tracking: str | Path, experiment: str = EXPERIMENT) -> list[StoredRun]:
    """All runs of an experiment that are not in the trash, straight from the database."""
    path = tracking if isinstance(tracking, Path) else sqlite_file(tracking)
    with closing(sqlite3.connect(str(path))) as db:
        runs = [StoredRun(*row) for row in db.execute(RUNS, [experiment])]
        for run in runs:
            of_run = f"WHERE run_uuid = '{run.run_id}'"
            run.params.update(db.execute(f"SELECT key, value FROM params {of_run}").fetchall())
            run.tags.update(db.execute(f"SELECT key, value FROM tags {of_run}").fetchall())
            columns = "key, step, timestamp, value"
            run.points += db.execute(f"SELECT {columns} FROM metrics {of_run} ORDER BY {columns}")
            run.files.update(_files(run.artifact_uri, Path(str(path)).parent))
        return runs


def _files(artifact_uri: str, beside: Path) -> dict[str, bytes]:
    """Path in a run to what is in the file."""
    place = urlsplit(artifact_uri)
    if place.scheme == "mlflow-artifacts":  # what the server makes of them
        folder = beside / "artifacts" / place.path.lstrip("/")
    else:
        folder = Path(url2pathname(place.path))
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def by_trial(tracking: str | Path, experiment: str = EXPERIMENT) -> dict[int | None, StoredRun]:
    """Trial number (None: the study) to its run; fails if there are two."""
    found: dict[int | None, StoredRun] = {}
    for run in stored_runs(tracking, experiment):
        number = run.tags.get("optuna.trial")
        key = None if number is None else int(number)
        assert key not in found, f"two runs of trial {key}"
        found[key] = run
    return found


def comparable(tracking: str | Path, experiment: str = EXPERIMENT) -> dict[object, object]:
    """The whole experiment in a form in which two can be compared."""
    return {key: run.comparable() for key, run in by_trial(tracking, experiment).items()}
