"""hpo.run with MLflow beside it: real trials, a killed worker, a server that goes away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.study.records import epochs_of
from hpo.tracking.trial_projection import STATUS
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
from tests.support.mlflow_server import TrackingServer, by_trial


@pytest.fixture
def server(tmp_path: Path, mlflow_template: Path) -> Iterator[TrackingServer]:
    """A server of this test's own, so that it may be stopped."""
    made = TrackingServer(Path(shutil.copy(mlflow_template, tmp_path / "server.db")))
    yield made
    made.stop()


def check_runs(folder: Path, database: Path) -> None:
    """MLflow says exactly what the study says: states, parents, every point of every epoch."""
    trials = study_in(folder).trials
    runs = by_trial(database)
    assert set(runs) == {None, *(trial.number for trial in trials)}
    for trial in trials:
        mirrored, columns = runs[trial.number], epochs_of(trial)
        assert mirrored.status == STATUS[trial.state]
        assert mirrored.tags["mlflow.parentRunId"] == runs[None].run_id
        points = [(step, value) for step, _, value in mirrored.series("recall_at_10")]
        known = list(zip(columns["epoch"], columns.get("recall_at_10", []), strict=True))
        assert points[: len(known)] == known  # none, if its worker was killed in the first epoch


def test_a_study_with_a_killed_worker_in_mlflow(tmp_path: Path, mlflow_template: Path) -> None:
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    call = ["--data", shop(tmp_path), "--study", study_file(tmp_path, epochs=200)]
    call += ["--workers", "2", "--tracking-uri", "sqlite:///mlflow.db"]
    call += ["--tag", "team=shop", "--description", "a test"]
    process = start("hpo.run", *call, cwd=tmp_path)
    with in_mid_training(process, storage_in(tmp_path)) as workers:
        workers[0].kill()
    code, out, err = finish(process)
    assert code == 0, out + err
    check_runs(tmp_path, tmp_path / "mlflow.db")
    runs = by_trial(tmp_path / "mlflow.db")
    assert runs[None].status == "FINISHED"
    assert runs[None].tags["team"] == "shop"
    assert "report: studies/reports/tiny-interactions/report.html" in out
    assert f"in MLflow: folder report of run {runs[None].run_id}" in out
    assert (tmp_path / "studies/reports/tiny-interactions/report.html").exists()
    pages = {"report/report.html", "report/summary.md", "report/history.png"}
    assert set(runs[None].files) >= pages
    best = study_in(tmp_path).best_trial.number
    assert (
        f"stored with the study: this report and the model of trial {best}" in out
    )  # trained here again as the worker had it
    assert {key for key in runs if "model_meta.json" in runs[key].files} == {best}
    (failed,) = [mirrored for mirrored in runs.values() if mirrored.status == "FAILED"]
    assert failed.tags["hpo.cause"] == "worker-died"
    assert "died" in failed.tags["hpo.message"]

    code, out, err = run("hpo.run", *call, "--tag", "team=late", cwd=tmp_path)
    assert (code, "already complete" in out, "report:" in out) == (0, True, False), out + err
    assert by_trial(tmp_path / "mlflow.db")[None].tags["team"] == "late"


def test_a_server_that_stops_in_mid_study_costs_no_trial(
    tmp_path: Path, server: TrackingServer
) -> None:
    server.start()
    call = ["--data", shop(tmp_path), "--study", study_file(tmp_path, epochs=200)]
    call += ["--workers", "2", "--tracking-uri", server.uri, "--no-report"]
    process = start("hpo.run", *call, cwd=tmp_path)
    with in_mid_training(process, storage_in(tmp_path)):
        server.stop()
    code, out, err = finish(process)
    assert code == 3, out + err
    assert "4 of 4 trials finished (4 complete)" in out
    assert "MLflow is incomplete" in out
    assert f"python -m hpo.sync --study-name tiny-interactions --tracking-uri {server.uri}" in out

    server.start()
    code, out, err = run("hpo.sync", "--tracking-uri", server.uri, cwd=tmp_path)
    assert code == 0, out + err
    check_runs(tmp_path, server.database)
