"""A recommender of the user's own is tuned, pruned, parked, mirrored and reported like ours."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import hpo
from hpo import StudyResult, TrialEnd, replay
from hpo.errors import SettingsError, StudyError
from recsys.artifacts.sqlite import sqlite_url
from tests.support import own_model
from tests.support.commands import run, shop, study_in
from tests.support.own_model import PopularConfig
from tests.support.paths import ROOT
from tests.support.tuning import tune_here

STUDY = """
trainable = "tests.support.own_model:Scored"
[space]
noise = { low = 0.01, high = 5.0, log = true }
steps = { low = 1, high = 4 }
"""


def tune(folder: Path, **arguments: Any) -> StudyResult:
    """A small study in a folder, trained in this process."""
    study = folder / "mine.toml"
    study.write_text(STUDY, encoding="utf-8")
    return tune_here(folder, **{"study": study, "verbose": False, **arguments})


def test_als_is_tuned_by_worker_processes(tmp_path: Path) -> None:
    """The example: pruning, the mirror, a second call that goes on, the report, the refusals."""
    for name in ("als.py", "als.toml"):
        (tmp_path / name).write_text((ROOT / "examples" / name).read_text("utf-8"), "utf-8")
    command = ("--study", "als.toml", "--data", shop(tmp_path), "--workers", 2, "--seed", 3)
    small = ("--set", "space.factors={ low = 2, high = 16 }", "--set", "base.epochs=4")
    prune = ("--set", "pruner.startup=1", "--set", "pruner.warmup=1", "--set", "pruner.name=median")
    code, out, err = run("hpo.run", *command, *small, *prune, "--n-trials", 4, cwd=tmp_path)
    assert code == 0, err
    assert "model als:Als" in out
    assert "hpo.promote" not in out
    code, out, err = run("hpo.run", *command, *small, *prune, "--n-trials", 6, cwd=tmp_path)
    assert code == 0, err
    assert "continues after 4 of 6 trials" in out

    study = study_in(tmp_path)
    trials = study.get_trials()
    states = [trial.state.name for trial in trials]
    assert len(states) == 6
    assert set(states) <= {"COMPLETE", "PRUNED"}
    assert "PRUNED" in states
    assert all(2 <= trial.params["factors"] <= 16 for trial in trials)

    client = MlflowClient(sqlite_url(tmp_path / "studies/mlflow.db"))
    (experiment,) = client.search_experiments(filter_string="name = 'two-tower-hpo'")
    runs = client.search_runs([experiment.experiment_id], "tags.`hpo.kind` = 'trial'")
    assert len(runs) == 6
    assert {"factors", "regularization", "alpha", "epochs", "seed"} <= set(runs[0].data.params)
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`hpo.kind` = 'study'")
    assert parent.data.params["trainable"] == "als:Als"

    page = (tmp_path / "studies/reports/als-interactions/report.html").read_text("utf-8")
    assert "item-kNN" in page
    assert "als:Als" in page
    assert "training again did not give" not in page

    code, out, err = run("hpo.promote", cwd=tmp_path)
    assert code == 2, out + err
    assert "tunes als:Als, and promotion registers two-towers only" in err


def test_tune_takes_the_class(tmp_path: Path) -> None:
    result = tune(tmp_path, trainable=own_model.Popular, n_trials=4)
    assert result.record.config.trainable == "tests.support.own_model:Popular"
    assert isinstance(result.best_config, PopularConfig)
    assert result.trials.schema["steps"].is_integer()
    assert result.trials["noise"].min() >= 0.01  # type: ignore[operator]
    page = result.report().read_text(encoding="utf-8")
    assert (
        "Popular has no method scorer(holdout, config, epochs), so this report leaves out" in page
    )
    assert "item-kNN" not in page
    assert "Learning curves" in page
    with pytest.raises(SettingsError, match="tunes .*Popular, and promotion registers two-towers"):
        result.promote()
    where = ["--storage", result.locations.storage]
    with pytest.raises(SettingsError, match="--artifacts stores two-towers only"):
        replay.main([*where, "--trial", "0", "--artifacts", str(tmp_path / "model")])
    assert replay.main([*where, "--trial", "0"]) == 0
    with pytest.raises(StudyError, match=r"trainable: was tests.*:Popular, is tests.*:Scored"):
        tune(tmp_path, n_trials=5)


def test_a_parked_trial_starts_again_and_comes_to_the_same(tmp_path: Path) -> None:
    seen: list[TrialEnd] = []

    def interrupt(end: TrialEnd) -> None:
        seen.append(end)
        if len(seen) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    settings = {"base.epochs": 100}
    with pytest.raises(KeyboardInterrupt, match="the same call resumes it"):
        tune(tmp_path, n_trials=50, callbacks=[interrupt], settings=settings)
    again = tune(tmp_path, n_trials=3, settings=settings)
    assert again.is_complete
    assert set(again.trials["state"]) == {"COMPLETE"}


def test_an_error_of_the_model_is_the_cause_of_a_failed_trial(tmp_path: Path) -> None:
    with pytest.raises(hpo.HpoError, match="the second sweep broke"):
        tune(tmp_path, trainable=own_model.Failing, n_trials=3)
    trials = hpo.load_study(storage=tmp_path / "optuna.db").trials
    assert set(trials["state"]) == {"FAIL"}
    assert set(trials["cause"]) == {"error"}
