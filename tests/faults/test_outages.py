"""A real study while its MLflow server over HTTP is killed, hangs, comes back empty."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hpo.config.locations import Locations
from hpo.tracking.mirror import Mirror
from tests.support.commands import (
    finish,
    in_mid_training,
    run,
    shop,
    start,
    storage_in,
    study_file,
    study_in,
)
from tests.support.mlflow_server import TrackingServer, by_trial, mlflow_template

__all__ = ["mlflow_template"]

OUTAGE_SECONDS = 30.0
N_TRIALS = 8

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.timeout(1800),
]


def family(server: TrackingServer) -> list[psutil.Process]:
    assert server._server is not None
    root = psutil.Process(server._server._process.pid)
    return [root, *root.children(recursive=True)]


Fault = Callable[[TrackingServer, Path], Iterator[None]]


def kill(server: TrackingServer, _: Path) -> Iterator[None]:
    for process in family(server):
        process.kill()
    yield
    threading.Event().wait(OUTAGE_SECONDS)
    server.start()


def hang(server: TrackingServer, _: Path) -> Iterator[None]:
    """It accepts connections, but never answers."""
    for process in family(server):
        process.suspend()
    yield
    threading.Event().wait(OUTAGE_SECONDS)
    for process in family(server):
        process.resume()


def restart_empty(server: TrackingServer, template: Path) -> Iterator[None]:
    server.stop()
    yield
    for suffix in ("", "-wal", "-shm"):
        server.database.with_name(server.database.name + suffix).unlink(missing_ok=True)
    shutil.copy(template, server.database)
    server.start()


@pytest.mark.parametrize("fault", [kill, hang, restart_empty])
def test_a_study_through_an_outage(tmp_path: Path, mlflow_template: Path, fault: Fault) -> None:
    server = TrackingServer(Path(shutil.copy(mlflow_template, tmp_path / "server.db")))
    server.start()
    toml = study_file(tmp_path, epochs=400, n_trials=N_TRIALS)
    call = ["--data", shop(tmp_path), "--study", toml, "--workers", 2, "--no-report"]
    process = start("hpo.run", *call, "--tracking-uri", server.uri, cwd=tmp_path)
    try:
        breaking = fault(server, mlflow_template)
        with in_mid_training(process, storage_in(tmp_path)):
            next(breaking)
        assert next(breaking, "mended") == "mended"
        code, out, err = finish(process)
        assert code in (0, 3), out + err
        states = [trial.state.name for trial in study_in(tmp_path).trials]
        assert states == ["COMPLETE"] * N_TRIALS  # no trial was lost, or ran twice

        code, out, err = run("hpo.sync", "--tracking-uri", server.uri, cwd=tmp_path)
        assert code == 0, out + err
        assert set(by_trial(server.database)) == {None, *range(N_TRIALS)}
        locations = Locations(
            f"sqlite:///{(tmp_path / 'studies/optuna.db').as_posix()}", server.uri
        )
        assert Mirror(locations, None).check() == []
    finally:
        process.kill()
        server.stop()
