"""A study that maximizes another metric does so everywhere: trials, report, MLflow, gate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hpo.gate.findings import from_json, to_json
from hpo.promotion.outcome import Promotion
from hpo.promotion.promote import promote_study
from hpo.promotion.retrain import retrain_champion
from hpo.registry.model_store import ModelStore, Reference
from hpo.registry.recipe import Recipe
from hpo.study.records import Outcome, epochs_of
from recsys.artifacts.mlflow_client import open_client
from tests.support.commands import run, shop, study_file, study_in
from tests.support.examples import conveyor
from tests.support.mlflow_server import by_trial
from tests.support.promoting import QUICK, real, runs
from tests.support.real_study import RealStudy, write_csv

__all__ = ["real"]


def test_a_study_by_mrr(tmp_path: Path, mlflow_template: Path) -> None:
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    call = ["--data", shop(tmp_path), "--study", study_file(tmp_path, epochs=12, n_trials=3)]
    call += ["--workers", "2", "--tracking-uri", "sqlite:///mlflow.db"]
    by_mrr = ["--set", "objective=mrr", "--set", "split.eval_users=30"]
    code, out, err = run("hpo.run", *call, *by_mrr, cwd=tmp_path)
    assert code == 0, out + err
    assert "study tiny-interactions: mrr on validation" in out
    assert "drawn at random: mrr 0." in out
    assert "recall" not in out
    assert (
        "stored with the study: this report and the model of trial" in out
    )  # trained again it has the same mrr
    trials, by_recall = study_in(tmp_path).trials, []
    mirrored = by_trial(tmp_path / "mlflow.db")
    for trial in trials:
        columns, outcome = epochs_of(trial), Outcome.of(trial)
        assert outcome is not None
        mrr, recall = columns["mrr"], columns["recall_at_10"]
        by_recall.append(recall.index(max(recall)) + 1 == outcome.best_epoch)
        assert list(trial.intermediate_values.values()) == mrr
        assert (trial.value, outcome.best_epoch) == (max(mrr), mrr.index(max(mrr)) + 1)
        assert [value for *_, value in mirrored[trial.number].series("best_mrr")] == [max(mrr)]
    assert not all(by_recall), "recall is as good as it gets long before mrr"
    parent = mirrored[None]
    assert parent.tags["hpo.objective"] == "mrr"
    assert parent.series("best_mrr")[-1][-1] == max(trial.value or 0 for trial in trials)
    page = (tmp_path / "studies/reports/tiny-interactions/report.html").read_text(encoding="utf-8")
    assert '<div class="bounds">mrr on validation' in page
    assert "<th>recall_at_10</th>" in page

    code, out, err = run("hpo.replay", "--trial", 1, cwd=tmp_path)
    assert (code, "mrr" in out) == (0, True), out + err
    code, out, err = run("hpo.run", *call, *by_mrr[2:], cwd=tmp_path)
    assert (code, "objective: was mrr, is recall_at_10" in err) == (2, True), out + err


def test_the_gate_asks_for_what_the_study_maximized(real: RealStudy) -> None:
    real.train("shop", n_trials=2, objective="ndcg_at_7", promotion={"must_beat": ["popularity"]})
    found = promote_study(real.locations, "shop", settings=QUICK)
    comparison = found.findings.comparison("popularity")
    assert comparison is not None
    assert comparison.ours == pytest.approx(found.test["ndcg_at_7"], abs=1e-12)
    assert comparison.ours != pytest.approx(found.test["recall_at_10"], abs=1e-4)
    client = open_client(real.locations.tracking_uri)
    card = client.get_model_version("two-tower", "1").description
    assert "By ndcg_at_7, paired over the same test users." in card
    (promoted,) = runs(client)
    assert found.findings.race is not None
    version = client.get_model_version("two-tower", "1")
    assert version.tags["hpo.objective"] == promoted.data.tags["hpo.objective"] == "ndcg_at_7"
    assert promoted.data.metrics["race_ndcg_at_7"] == found.findings.race.won.mean
    store = ModelStore(real.locations.tracking_uri)
    stored = store.load(store.resolve(Reference("two-tower", None, "1")))
    assert Recipe.of_model(stored, "version 1").source.objective == "ndcg_at_7"

    write_csv(real.data, conveyor(n_users=66, length=15))
    again = retrain_champion(real.locations, dry_run=True)
    assert isinstance(again, Promotion)
    drift = again.findings.drift
    assert drift is not None
    assert drift.value_then == found.test["ndcg_at_7"]
    assert "drift: ndcg_at_7 of version 1 " in drift.lines[1]


def test_a_retraining_of_before_is_read(real: RealStudy) -> None:
    real.train("shop", n_trials=1, promotion={"must_beat": ["popularity"]})
    promote_study(real.locations, "shop", settings=QUICK)
    write_csv(real.data, conveyor(n_users=66, length=15))
    again = retrain_champion(real.locations, dry_run=True)
    assert isinstance(again, Promotion)
    text = to_json(again.findings)
    assert from_json(text) == again.findings
    old = json.loads(text)
    del old["objective"], old["drift"]["objective"]
    for name in ("value", "value_then"):
        old["drift"][name.replace("value", "recall")] = old["drift"].pop(name)
    assert from_json(json.dumps(old)) == again.findings
