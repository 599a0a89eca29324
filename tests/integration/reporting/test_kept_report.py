"""Files and runs that a report leaves with its study and in MLflow."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

from hpo.config.locations import Locations
from hpo.config.next_commands import command
from hpo.report import main
from hpo.reporting.report import FILES, write_report
from hpo.study.data import load_split
from hpo.study.files.artifacts import artifact_folder, stored_artifacts
from hpo.study.locks import exclusive
from hpo.study.records import StudyRecord
from hpo.tracking.background import bring_into_mlflow
from hpo.tracking.mirror import Mirror
from recsys import evaluate
from recsys.artifacts.checkpoint import load
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from tests.support.mlflow_server import by_trial, stored_runs
from tests.support.real_study import BASE, RealStudy

MODEL = {
    "model_meta.json", "weights.safetensors", "history.safetensors",
    "user_vecs.npy", "item_vecs.npy", "item_bias.npy",
}  # fmt: skip


def kept_names(study: optuna.Study) -> dict[int | None, set[str]]:
    kept = stored_artifacts(study, StudyRecord.of(study).uid)
    return {number: {file.name for file in files} for number, files in kept.items()}


def test_report_and_best_model_are_kept_and_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = RealStudy(tmp_path)
    study = real.train("kept", 3)
    best = study.best_trial
    call = ["--storage", real.locations.storage, "--tracking-uri", real.locations.tracking_uri]
    Mirror(real.locations, "kept").sync()
    assert main(call) == 0
    runs = by_trial(real.locations.tracking_uri)
    _, kept, where, *_ = capsys.readouterr().out.splitlines()
    assert kept == f"stored with the study: this report and the model of trial {best.number}"
    assert where == f"in MLflow: folder report of run {runs[None].run_id}"
    assert set(runs[None].files) <= {f"report/{name}" for name in FILES}
    assert {"report/report.html", "report/summary.md"} <= set(runs[None].files)
    assert kept_names(study)[best.number] == MODEL == set(runs[best.number].files)

    client, mirror = open_client(real.locations.tracking_uri), Mirror(real.locations, "kept")
    experiment = experiment_id(client, "two-tower-hpo")
    client.delete_experiment(experiment)
    assert mirror.sync().uploaded == 0  # out of the trash, with all its files
    client.rename_experiment(experiment, "gone")
    assert mirror.sync().uploaded == len(runs[None].files) + len(MODEL)
    assert mirror.check() == []
    again = by_trial(real.locations.tracking_uri)
    assert again[None].run_id != runs[None].run_id
    assert {key: run.files for key, run in again.items()} == {k: r.files for k, r in runs.items()}


def test_the_kept_model_has_the_value_of_its_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Out of MLflow, as anybody would fetch it: by its weights, and by its vectors alone."""
    real = RealStudy(tmp_path)
    real.base = {**BASE, "neighbour_weight": 0.0}  # score = vectors and bias, nothing else
    study = real.train("kept", 3)
    best = study.best_trial
    write_report(real.locations, "kept", tmp_path / "out")
    Mirror(real.locations, "kept").sync()
    run = by_trial(real.locations.tracking_uri)[best.number]
    folder = tmp_path / "fetched"
    folder.mkdir()
    for name, content in run.files.items():
        (folder / name).write_bytes(content)

    stored = load(folder)
    assert stored.meta["trial"] == best.number
    assert stored.meta["validation"]["recall_at_10"] == best.value
    parts = load_split(StudyRecord.of(study), None)
    evaluator = Evaluator(parts.tuning, torch.device("cpu"))
    measured = evaluator.evaluate(TowerScorer(stored.model, stored.history)).mean()
    assert measured.recall_at_10 == best.value

    users, items, bias = (
        torch.from_numpy(np.load(folder / f"{name}.npy"))
        for name in ("user_vecs", "item_vecs", "item_bias")
    )

    class Vectors:
        def scores(self, asked: torch.Tensor) -> torch.Tensor:
            return users[asked] @ items.T + bias

    assert evaluator.evaluate(Vectors()).mean().recall_at_10 == best.value
    capsys.readouterr()
    assert evaluate.main(["--artifacts", str(folder), "--data", str(real.data)]) == 0
    assert f"recall_at_10   {best.value:.6f}" in capsys.readouterr().out


def test_a_better_trial_takes_the_place_of_the_kept_one(tmp_path: Path) -> None:
    real = RealStudy(tmp_path)
    real.base = {**BASE, "lr": 0.01, "epochs": 1}
    study = real.train("kept", 1)
    write_report(real.locations, "kept", tmp_path / "out")
    assert set(kept_names(study)) == {None, 0}
    better = real.train("kept", 8).best_trial
    assert better.number != 0, "the test needs a better trial"
    write_report(real.locations, "kept", tmp_path / "out")
    assert set(kept_names(study)) == {None, better.number}
    runs = report_and_sync(real)
    assert runs[better.number] == MODEL
    assert runs[0] == set()


def report_and_sync(real: RealStudy) -> dict[int | None, set[str]]:
    Mirror(real.locations, None).sync()
    return {key: set(run.files) for key, run in by_trial(real.locations.tracking_uri).items()}


def test_a_model_that_came_out_differently_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RealStudy(tmp_path)
    study = real.train("kept", 2)
    monkeypatch.setattr("hpo.reporting.model_comparison.EXACT", -1.0)  # nothing counts as the same
    said = write_report(real.locations, "kept", tmp_path / "out")
    assert said.is_kept
    number = study.best_trial.number
    lacking = (
        rf"the model of trial {number} is not stored with the study: trained again it has "
        r"recall_at_10 \d\.\d+"
    )
    assert re.match(lacking, said.news)
    assert set(kept_names(study)) == {None}


def test_a_report_that_cannot_be_kept_is_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = RealStudy(tmp_path)
    real.train("kept", 1)
    artifact_folder(real.locations.storage).write_text("a file")
    assert main(["--storage", real.locations.storage, "--out", str(tmp_path / "out")]) == 0
    report, news, *_ = capsys.readouterr().out.splitlines()
    assert report == f"report of study kept: {tmp_path / 'out' / 'report.html'}"
    assert news.startswith("the report is not stored with the study: artifacts cannot be kept in ")


def test_a_report_makes_no_store_and_no_run(tmp_path: Path) -> None:
    real = RealStudy(tmp_path)
    real.train("kept", 1)
    lacking = "not in MLflow: the study has no run there; make one with: "
    sync = command("sync", "kept", real.locations)
    assert bring_into_mlflow(real.locations, "kept") == (lacking + sync, True)
    assert stored_runs(real.locations.tracking_uri) == []
    elsewhere = Locations(real.locations.storage, f"sqlite:///{(tmp_path / 'none.db').as_posix()}")
    assert bring_into_mlflow(elsewhere, "kept").line == lacking + command("sync", "kept", elsewhere)
    assert not (tmp_path / "none.db").exists()
    gone = bring_into_mlflow(Locations(real.locations.storage, "http://127.0.0.1:9"), "kept")
    assert gone.line.startswith("not in MLflow: MLflow at http://127.0.0.1:9: ")
    assert not gone.is_complete


def test_a_report_that_mlflow_lacks_is_no_success(tmp_path: Path) -> None:
    real = RealStudy(tmp_path)
    real.train("kept", 1)
    where = ["--storage", real.locations.storage, "--tracking-uri", "http://127.0.0.1:9"]
    assert main([*where, "--out", str(tmp_path / "out")]) == 3
    assert (tmp_path / "out" / "report.html").exists()


def test_a_sync_that_takes_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RealStudy(tmp_path)
    study = real.train("kept", 1)
    Mirror(real.locations, "kept").sync()
    monkeypatch.setattr("hpo.tracking.background.PATIENCE_SECONDS", 0.0)
    with exclusive(real.locations.storage, study.study_name, role="sync"):
        said = bring_into_mlflow(real.locations, "kept")
    assert not said.is_complete
    sync = command("sync", "kept", real.locations)
    wanted = f"not in MLflow: the last sync did not end in time; bring it there with: {sync}"
    assert said.line == wanted
