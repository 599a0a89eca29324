"""A study for the retrieval of 100 candidates: search, race, gate, MLflow, report and answers."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

import hpo
from hpo.study.records import StudyRecord, epochs_of
from hpo.study.storage import existing_storage
from recsys.artifacts.mlflow_client import open_client
from tests.support.commands import study_file
from tests.support.mlflow_store import fresh_store

PRUNES_EARLY = {"name": "percentile", "keep": 50, "startup": 1, "warmup": 1}


def test_a_study_by_recall_at_100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 items; trial 1 hardly learns, so its first epochs are enough to prune it."""
    monkeypatch.chdir(tmp_path)
    tracking = fresh_store(tmp_path)
    lazy = {"lr": 1e-6, "dim": 4}
    result = hpo.tune(
        "demo",
        n_trials=3,
        study=study_file(tmp_path, epochs=3),
        objective="recall_at_100",
        settings={
            "pruner": PRUNES_EARLY, "warm_starts": [lazy], "space.lr.low": 1e-6,
            "space.dim.low": 4, "constraints.coverage_at_100": {"min": 0.01},
            "promotion.must_beat": ["popularity"],
        },
        storage=tmp_path / "optuna.db",
        runner="inline",
        device="cpu",
        tracking=tracking,
        verbose=False,
    )  # fmt: skip
    study = hpo.load_study(result.name, storage=tmp_path / "optuna.db")
    assert (study.objective, study.n_finished) == ("recall_at_100", 3)
    states = result.trials["state"].to_list()
    assert (states[0], states[1]) == ("COMPLETE", "PRUNED")

    record, trials = _stored(result)
    columns = epochs_of(trials[0])
    assert list(trials[0].intermediate_values.values()) == columns["recall_at_100"]
    assert trials[0].value == max(columns["recall_at_100"])
    assert 0 < record.baselines["popularity"]["recall_at_100"] < 1
    assert {"coverage_at_100", "gini_at_10"} < set(columns)
    assert "recall_at_100 on validation" in result.report().read_text(encoding="utf-8")

    promotion = result.promote(candidates=2, seeds=1)
    found = promotion.findings
    assert found.race is not None
    against = found.comparison("popularity")
    assert against is not None
    assert against.ours == pytest.approx(found.test["recall_at_100"].mean)
    assert "coverage_at_100" in found.lists["this model"]
    client = open_client(tracking)
    assert client.get_model_version("two-tower", "1").tags["hpo.objective"] == "recall_at_100"
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id], max_results=50)
    trial_runs = [run for run in runs if run.data.tags.get("hpo.kind") == "trial"]
    best = [run.data.metrics.get("best_recall_at_100", 0.0) for run in trial_runs]
    assert max(best) == result.best_value

    if promotion.passed:
        champion = hpo.load_champion(tracking=tracking)
    else:
        champion = hpo.load_champion("models:/two-tower/1", tracking=tracking)
    answer = champion.recommend("u0001", k=100)
    assert len(answer.items) == len(set(answer.items)) == 100


def _stored(result: hpo.StudyResult) -> tuple[StudyRecord, list[optuna.trial.FrozenTrial]]:

    storage = existing_storage(result.locations.storage)
    study = optuna.load_study(study_name=result.name, storage=storage)
    return StudyRecord.of(study), study.trials
