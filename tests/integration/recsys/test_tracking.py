"""A training in a real MLflow store: everything there, and no run left RUNNING."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from recsys.artifacts.checkpoint import save, stored_files
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.artifacts.mlflow_run import (
    Training,
    log_model,
    log_training,
    open_run,
    pinned_requirements,
)
from recsys.artifacts.pair_scorer import PairScorer
from recsys.evaluation.evaluator import TowerScorer
from tests.support.mlflow_store import fresh_store
from tests.support.trained import CONFIG, trained

TIMES = [1_700_000_000_000 + 100 * epoch for epoch in range(CONFIG.epochs)]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    uri = fresh_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)  # for mlflow's load functions
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return open_client(uri)


@pytest.fixture
def experiment(client: MlflowClient) -> str:
    return experiment_id(client, "baseline")


def only_run(client: MlflowClient, experiment: str) -> Any:
    (run,) = client.search_runs([experiment])
    return run


def test_everything_is_logged(
    client: MlflowClient, experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    done = trained()
    save(folder, done.model, done.history, {})
    (folder / "diary.txt").write_text("private")
    scorer = PairScorer.of(done.model, done.history)
    training = Training(CONFIG, done.results, TIMES, folder, scorer)
    run_id = log_training(client, experiment, training, "baseline", {"hpo.kind": "baseline"})

    (run,) = client.search_runs([experiment], "metrics.recall_at_10 > 0.01")
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert run.data.params == {name: str(value) for name, value in CONFIG.as_dict().items()}
    assert run.data.tags["hpo.kind"] == "baseline"
    for name in ("train_loss", *done.results[0].metrics.as_dict()):
        history = client.get_metric_history(run_id, name)
        assert [(point.step, point.timestamp) for point in history] == list(
            zip([1, 2, 3], TIMES, strict=True)
        )
    losses = [point.value for point in client.get_metric_history(run_id, "train_loss")]
    assert losses == [result.train_loss for result in done.results]
    assert {file.path for file in client.list_artifacts(run_id)} == set(stored_files(folder))

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    import mlflow.pytorch

    loaded = mlflow.pytorch.load_model(f"runs:/{run_id}/model")
    pairs = torch.cartesian_prod(torch.arange(60), torch.arange(30))
    expected = TowerScorer(done.model, done.history).scores(torch.arange(60)).flatten()
    torch.testing.assert_close(loaded(pairs), expected)
    assert loaded(pairs[:1]).shape == (1,)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_run_never_stays_running(
    client: MlflowClient, experiment: str, error: type[BaseException]
) -> None:
    with pytest.raises(error), open_run(client, experiment, "doomed", {}):
        raise error
    assert only_run(client, experiment).info.status == "FAILED"


def test_a_model_that_cannot_be_saved_is_failed(client: MlflowClient, experiment: str) -> None:
    def save_nothing(path: Path, model: Any) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), open_run(client, experiment, "x", {}) as run:
        log_model(client, experiment, run, "model", save_nothing)
    (model,) = client.search_logged_models([experiment])
    assert model.status == "FAILED"
    assert only_run(client, experiment).info.status == "FAILED"


def test_more_epochs_than_one_request_takes(client: MlflowClient, experiment: str) -> None:
    from recsys.artifacts.mlflow_run import log_epochs

    first = trained().results[0]
    n = 300  # 8 metrics each
    results = [type(first)(epoch, 1.0, first.metrics, 0.1) for epoch in range(1, n + 1)]
    with open_run(client, experiment, "long", {}) as run:
        log_epochs(client, run, results, list(range(n)))
    assert len(client.get_metric_history(run, "mrr")) == n
    assert only_run(client, experiment).data.metrics["best_epoch"] == 1


def test_pair_scorer_equals_the_tower() -> None:
    scorer = PairScorer.of(trained().model, trained().history)
    scores = TowerScorer(trained().model, trained().history).scores(torch.arange(60))
    pairs = np.random.default_rng(0).integers(0, 30, (100, 2))
    expected = scores[pairs[:, 0], pairs[:, 1]]
    torch.testing.assert_close(scorer(torch.as_tensor(pairs)), expected)


def test_pins_have_no_local_part() -> None:
    (pin,) = pinned_requirements("torch")
    assert pin.startswith("torch==2.")
    assert "+" not in pin
