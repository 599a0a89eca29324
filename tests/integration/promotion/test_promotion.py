"""Promotion in a real registry: measured honestly, registered once, whatever gets killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpo.errors import PromotionError, SettingsError, StudyError
from hpo.promote import main as promote_main, run_promotion
from hpo.promotion.promote import promote_study
from hpo.registry.model_store import ModelStore, Reference
from hpo.report import main as report_main
from hpo.study.candidates import top_candidates
from hpo.study.data import load_split
from hpo.study.records import Outcome, StudyRecord
from hpo.sync import main as sync_main
from recsys.artifacts.checkpoint import load
from recsys.artifacts.checkpoint_files import sha256
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.data.splitting import TEST
from recsys.evaluation.evaluator import TowerScorer
from recsys.models.two_tower import TwoTower
from recsys.retrieval.recommender import Recommender
from recsys.training.distillation import Teachers, teacher_seeds
from recsys.training.trainer import Trainer
from tests.support import reference
from tests.support.promoting import QUICK, alias, all_runs, real, runs, standing, versions
from tests.support.real_study import RealStudy

__all__ = ["real"]


def test_the_winner_is_measured_registered_and_served(
    real: RealStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = real.train("shop")
    client = open_client(real.locations.tracking_uri)
    tags = {"hpo.study_uid": StudyRecord.of(study).uid, "hpo.kind": "study"}
    experiment = experiment_id(client, "two-tower-hpo")
    parent = client.create_run(experiment, tags=tags).info.run_id

    promotion = promote_study(real.locations, "shop")

    assert standing(promotion) == (1, True, "champion", None, 1)
    best = {one.trial: one for one in top_candidates(study, 2)}[promotion.trial]
    assert (promotion.config, promotion.epochs) == (best.config, best.refit_epochs)
    assert promotion.validation["recall_at_10"] == study.trials[promotion.trial].value
    (version,) = versions(client)
    assert alias(client, "champion") == 1
    (run,) = runs(client)
    assert (run.info.run_id, run.info.status) == (version.run_id, "FINISHED")
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.data.params["refit_epochs"] == str(promotion.epochs)
    assert run.data.metrics["test_recall_at_10"] == promotion.test["recall_at_10"]
    assert run.data.metrics["race_luck"] == promotion.findings.race.luck
    assert not [run for run in all_runs(client) if run.data.tags.get("hpo.kind") != "promotion"
                and any(name.startswith("test_") for name in run.data.metrics)]  # fmt: skip
    assert f"| recall_at_10 | {promotion.test['recall_at_10']:.6f} |" in version.description
    assert "| popularity | 60 |" in version.description

    folder = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    stored = load(folder)
    split = load_split(StudyRecord.of(study), None)
    digests = {tag: text for tag, text in version.tags.items() if tag.startswith("sha256")}
    assert digests == {"sha256.model_meta.json": sha256(folder / "model_meta.json")}
    assert stored.history.fingerprint == split.interactions.fingerprint
    assert stored.measured.fingerprint == split.final.seen.fingerprint
    scores = TowerScorer(stored.model, stored.measured).scores(torch.arange(60)).numpy()
    assert promotion.test == pytest.approx(reference.metrics(scores, split.final), abs=1e-12)

    check_pyfunc(stored)
    check_pytorch(stored, run.info.run_id)

    assert run_promotion(real.locations, None) == 0
    out = capsys.readouterr().out
    assert "was measured before, so nothing was trained: it is two-tower version 1" in out
    assert "mlflow models serve -m models:/two-tower@champion" in out
    assert len(versions(client)) == len(runs(client)) == 1


@pytest.mark.parametrize("teachers", [0, 2])
def test_the_refit_learns_train_and_validation_for_twice_the_best_epoch(
    real: RealStudy, teachers: int
) -> None:
    """Trained here once more, with nothing of the gate's code."""
    study = real.train("shop", n_trials=1)
    promote_study(real.locations, "shop", settings=replace(QUICK, teachers=teachers))
    store = ModelStore(real.locations.tracking_uri)
    stored = store.load(store.resolve(Reference.parse("models:/two-tower@champion")))
    split = load_split(StudyRecord.of(study), None)
    outcome = Outcome.of(study.trials[0])
    assert outcome is not None and outcome.best_epoch
    rows = split.interactions.take(split.parts != TEST)
    config = stored.model.config
    taught: list[TwoTower] = []
    for seed in [*teacher_seeds(config.seed, teachers), config.seed]:
        learns_from = Teachers(taught, rows) if taught and seed == config.seed else None
        trainer = Trainer(rows, config.replace(seed=seed), torch.device("cpu"), learns_from)
        for _ in range(2 * outcome.best_epoch):
            trainer.train_epoch()
        taught.append(trainer.model)
    for name, value in taught[-1].state_dict().items():
        torch.testing.assert_close(stored.model.state_dict()[name].cpu(), value)
    assert stored.meta["recipe"]["promotion"]["teachers"] == teachers  # a retraining has them too


def test_a_trial_is_measured_once_whatever_the_teachers(real: RealStudy) -> None:
    real.train("shop", n_trials=1)
    promote_study(real.locations, "shop", settings=replace(QUICK, teachers=1))
    told: list[str] = []
    again = replace(QUICK, teachers=2)
    found = promote_study(real.locations, "shop", settings=again, say=told.append)
    assert standing(found)[:2] == (1, False)
    assert told[-1].startswith("version 1 was refit with 1 teacher; ")
    assert told[-1].endswith("so teachers = 2 changes nothing")


@pytest.mark.parametrize("number", ["17", "-1", "2.5"])
def test_teachers_are_a_whole_number_within_bounds(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        promote_main([f"--teachers={number}"])
    assert ended.value.code == 2
    assert f"'{number}': give a whole number in 0..16" in capsys.readouterr().err
    with pytest.raises(SettingsError, match=r"must be a whole number in 0\.\.16"):
        replace(QUICK, teachers=float(number))  # type: ignore[arg-type]


def check_pyfunc(stored: Any) -> None:
    """The registered model answers from the full history, without pickles."""
    import mlflow.pyfunc
    import pandas as pd

    model = mlflow.pyfunc.load_model("models:/two-tower@champion")
    users = list(stored.history.user_ids[:7])
    found = model.predict(pd.DataFrame({"user_id": [*users, "nobody"]}), params={"k": 4})
    assert list(found.columns) == ["user_id", "rank", "item_id", "score", "source"]
    answers = Recommender(stored.model, stored.history).recommend([*users, "nobody"], 4)
    expected = [
        (user, rank, item, pytest.approx(score), answer.source)
        for user, answer in zip([*users, "nobody"], answers, strict=True)
        for rank, (item, score) in enumerate(answer.items, 1)
    ]
    assert list(found.itertuples(index=False, name=None)) == expected
    assert len(model.predict(pd.DataFrame({"user_id": users[:1]}))) == 10
    with pytest.raises(Exception, match=r"k=0: must be an integer in 1\.\.1000"):
        model.predict(pd.DataFrame({"user_id": users}), params={"k": 0})


def check_pytorch(stored: Any, run_id: str) -> None:
    import mlflow.pytorch

    model = mlflow.pytorch.load_model(f"runs:/{run_id}/model")
    pairs = torch.tensor([[0, 1], [3, 2]])
    scores = TowerScorer(stored.model, stored.history).scores(torch.tensor([0, 3]))
    torch.testing.assert_close(model(pairs), scores[[0, 1], [1, 2]])


def test_a_mistyped_storage_is_refused_and_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{(tmp_path / 'nope' / 'optuna.db').as_posix()}"
    for main in (promote_main, report_main, sync_main):
        with pytest.raises(StudyError, match=r"optuna\.db: no study storage there.*--storage"):
            main(["--storage", url, "--tracking-uri", "sqlite:///" + str(tmp_path / "m.db")])
    assert not list(tmp_path.iterdir())


def test_nothing_to_promote(real: RealStudy) -> None:
    real.train("shop", n_trials=0)
    with pytest.raises(PromotionError, match="no complete trial yet"):
        promote_study(real.locations, "shop")


def test_other_data_is_refused_before_anything_is_logged(real: RealStudy, tmp_path: Path) -> None:
    real.train("shop", n_trials=1)
    moved = tmp_path / "moved.csv"
    real.data.rename(moved)
    with moved.open("a") as file:
        file.write("new,i1,1\n")
    with pytest.raises(PromotionError, match=r"moved\.csv is not the data .*--data"):
        promote_study(real.locations, "shop", data=str(moved))
    client = open_client(real.locations.tracking_uri)
    assert not versions(client)
    assert not runs(client)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="stops the server's process group")
def test_mlflow_serves_the_champion(real: RealStudy) -> None:
    study = real.train("shop", n_trials=1)
    promote_study(real.locations, "shop", settings=QUICK)
    history = load_split(StudyRecord.of(study), None).interactions
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m"]
    command += ["models:/two-tower@champion", "--env-manager", "local", "-p", str(port)]
    programs = Path(sys.executable).parent  # mlflow looks for uvicorn on the PATH
    server = subprocess.Popen(
        command,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=real.data.parent,
    )
    try:
        assert server.stderr is not None
        assert any("Uvicorn running" in line for line in server.stderr), "it never came up"
        users = list(history.user_ids[:5])
        found = ask(
            port, {"dataframe_split": {"columns": ["user_id"], "data": [[u] for u in users]}}
        )
        for user in users:
            items = [row["item_id"] for row in found if row["user_id"] == user]
            seen = history.items[history.users == history.user_ids.index(user)]
            assert len(set(items)) == 10
            assert not set(items) & {history.item_ids[item] for item in np.unique(seen)}
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.communicate()


def ask(port: int, question: dict[str, Any]) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps({**question, "params": {"k": 10}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        predictions: list[dict[str, Any]] = json.load(answer)["predictions"]
    return predictions


def test_the_printed_request_is_valid(real: RealStudy, capsys: pytest.CaptureFixture[str]) -> None:
    real.train("shop", n_trials=1)
    assert run_promotion(real.locations, "shop") == 0
    own, *mlflows = re.findall(r"'(\{.*\})'", capsys.readouterr().out)
    assert json.loads(own) == {"user_id": "u0", "k": 10}
    assert len(mlflows) == 2
    for body in mlflows:
        assert json.loads(body)["dataframe_records"] == [{"user_id": "u0"}]
