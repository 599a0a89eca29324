"""One finished training in MLflow: params, curves, files, and a model that torch users can load.

All calls go through MlflowClient, because MLflow's fluent functions hold a current run and an
address that are global to the process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.artifacts.checkpoint import stored_files
from recsys.artifacts.pair_scorer import PairScorer
from recsys.config import TrainConfig
from recsys.training import EpochResult

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import Model

BATCH = 1000  # metrics in one request, MLflow's limit
PARAM_BATCH = 100


@dataclass(frozen=True, eq=False)
class Training:
    """One finished training, ready to be logged.

    Attributes:
        config: all hyperparameters.
        results: results of its epochs, in order.
        times_ms: time at the end of each epoch, in ms since 1970.
        folder: folder of the model, written by `recsys.artifacts.checkpoint.save`.
        scorer: the same model as a module that maps pairs to scores.
    """

    config: TrainConfig
    results: Sequence[EpochResult]
    times_ms: Sequence[int]
    folder: Path
    scorer: PairScorer


def log_training(
    client: MlflowClient, experiment: str, training: Training, name: str, tags: Mapping[str, str]
) -> str:
    """Log a training into one new run and return the run's id.

    Args:
        client: client of the tracking store.
        experiment: id of the experiment.
        training: the training to log.
        name: name of the run.
        tags: tags of the run.
    """
    with open_run(client, experiment, name, tags) as run_id:
        log_params(client, run_id, training.config.as_dict())
        log_epochs(client, run_id, training.results, training.times_ms)
        log_checkpoint(client, run_id, training.folder)
        log_pair_scorer(client, experiment, run_id, training.scorer)
    return run_id


@contextmanager
def open_run(
    client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]
) -> Iterator[str]:
    """Open a new run that ends FINISHED, or FAILED if the block raises (Ctrl-C too).

    Args:
        client: client of the tracking store.
        experiment: id of the experiment.
        name: name of the run.
        tags: tags of the run.

    Yields:
        The run's id.

    Raises:
        BaseException: the block's own exception, after the run is marked FAILED.
    """
    run_id: str = client.create_run(experiment, run_name=name, tags=dict(tags)).info.run_id
    try:
        yield run_id
    except BaseException:
        with suppress(Exception):  # a server that is gone must not hide what went wrong
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, Any]) -> None:
    """Write params under their own names.

    Args:
        client: client of the tracking store.
        run_id: the run to write to.
        params: values by name; written as text.
    """
    from mlflow.entities import Param

    entries = [Param(name, str(value)) for name, value in params.items()]
    for start in range(0, len(entries), PARAM_BATCH):
        client.log_batch(run_id, params=entries[start : start + PARAM_BATCH])


def log_metrics(
    client: MlflowClient, run_id: str, values: Mapping[str, float], time_ms: int
) -> None:
    """Write single figures, at step 0.

    Args:
        client: client of the tracking store.
        run_id: the run to write to.
        values: figures by name.
        time_ms: time of the figures, in ms since 1970.
    """
    from mlflow.entities import Metric

    client.log_batch(run_id, [Metric(name, v, time_ms, 0) for name, v in values.items()])


def log_epochs(
    client: MlflowClient, run_id: str, results: Sequence[EpochResult], times_ms: Sequence[int]
) -> None:
    """Write `train_loss` and all metrics of every epoch; the step is the epoch.

    The best epoch is written as `best_epoch` and `best_recall_at_10`, at step 0.

    Args:
        client: client of the tracking store.
        run_id: the run to write to.
        results: results of the epochs, at least one.
        times_ms: time at the end of each epoch, in ms since 1970.
    """
    from mlflow.entities import Metric

    entries = []
    for result, time_ms in zip(results, times_ms, strict=True):
        values = {"train_loss": result.train_loss, **result.metrics.as_dict()}
        entries += [Metric(name, v, time_ms, result.epoch) for name, v in values.items()]
    best = max(results, key=lambda result: result.metrics.recall_at_10)
    for name, value in (
        ("best_epoch", best.epoch),
        ("best_recall_at_10", best.metrics.recall_at_10),
    ):
        entries.append(Metric(name, value, times_ms[-1], 0))
    for start in range(0, len(entries), BATCH):
        client.log_batch(run_id, entries[start : start + BATCH])


def log_checkpoint(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Upload the files of the model in `folder`, but no other file there.

    Args:
        client: client of the tracking store.
        run_id: the run to write to.
        folder: folder that `recsys.artifacts.checkpoint.save` wrote.
    """
    for name in stored_files(folder):
        client.log_artifact(run_id, str(folder / name))


def log_pair_scorer(client: MlflowClient, experiment: str, run_id: str, scorer: PairScorer) -> str:
    """Log "model" for `mlflow.pytorch.load_model("runs:/RUN_ID/model")` and return its id.

    The format is pt2, a graph without classes of this package: it loads even if pickles are
    forbidden.

    Args:
        client: client of the tracking store.
        experiment: id of the run's experiment.
        run_id: the run that made the model.
        scorer: the model.
    """
    import mlflow.pytorch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    example = np.zeros((3, 2), np.int64)
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype(np.int64), (-1, 2))]),
        Schema([TensorSpec(np.dtype(np.float32), (-1,))]),
    )

    def save(path: Path, model: Model) -> None:
        mlflow.pytorch.save_model(
            scorer,
            path,
            mlflow_model=model,
            input_example=example,
            signature=signature,
            pip_requirements=pinned_requirements("torch", "numpy"),
            serialization_format="pt2",
        )

    return log_model(client, experiment, run_id, "model", save)


def log_model(
    client: MlflowClient,
    experiment: str,
    run_id: str,
    name: str,
    save: Callable[[Path, Model], None],
) -> str:
    """Log a model of any flavour as an output of a run and return the model's id.

    Args:
        client: client of the tracking store.
        experiment: id of the run's experiment.
        run_id: the run that made the model.
        name: `runs:/RUN_ID/name` finds the model.
        save: writes the model into the folder given, with the metadata given beside it.

    Raises:
        BaseException: any error of `save` or of MLflow, after the model is marked FAILED.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    logged = client.create_logged_model(experiment, name=name, source_run_id=run_id)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            ids = {"model_uuid": logged.model_id, "model_id": logged.model_id, "run_id": run_id}
            save(path, Model(artifact_path=logged.artifact_location, **ids))
            client.log_model_artifacts(logged.model_id, str(path))
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    except BaseException:
        with suppress(Exception):
            client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def pinned_requirements(*packages: str) -> list[str]:
    """Return requirements of the installed versions of packages, as pip reads them.

    Local parts are dropped: "2.13.0+cpu" is no version on a package index.
    """
    return [f"{package}=={metadata.version(package).split('+')[0]}" for package in packages]
