"""From a study's best trial to the champion in the registry, measured on test once.

The trial's config is trained again on train + validation for its best epoch count. Test is read
after that, and its figures appear in the promotion's run and version only. A promotion may be
killed at any point and started again: there will be one version.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hpo import registry
from hpo.candidate import Candidate, best_candidate
from hpo.data import load_data
from hpo.environment import environment
from hpo.errors import PromotionError
from hpo.locks import exclusive
from hpo.model_card import model_card
from hpo.packaging import save_pyfunc
from hpo.records import StudyRecord
from hpo.settings import Places
from hpo.storage import open_storage
from hpo.study import load_study
from recsys import checkpoint
from recsys.baselines import Popularity
from recsys.config import TrainConfig
from recsys.evaluation import Evaluator, TowerScorer
from recsys.mlflow_client import experiment_id, open_client, tracking_errors
from recsys.model import TwoTower
from recsys.pair_scorer import PairScorer
from recsys.split import Split
from recsys.threads import useful_threads
from recsys.tracking import (
    log_checkpoint,
    log_metrics,
    log_model,
    log_pair_scorer,
    log_params,
    open_run,
)
from recsys.trainer import Trainer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

EXAMPLE_USER = "hpo.example_user"
TEST, POPULARITY = "test_", "popularity_test_"  # prefixes of metric names in the promotion's run


@dataclass(frozen=True)
class Promotion:
    """What is registered, and the figures of exactly these weights.

    Attributes:
        version: in the registry, from 1.
        is_new: False if this trial had been promoted before.
        run_id: the run that made it.
        study: name of the study.
        trial: number of the trial.
        config: its hyperparameters.
        epochs: how many the refit took.
        validation: what the trial showed at its best epoch, by metric.
        test: the refit on test.
        popularity: the baseline on the same test users.
        example_user: somebody whom the served model knows.
        champion: the version that has the alias now; a later promotion may have taken it.
    """

    version: int
    is_new: bool
    run_id: str
    study: str
    trial: int
    config: TrainConfig
    epochs: int
    validation: Mapping[str, float]
    test: Mapping[str, float]
    popularity: Mapping[str, float]
    example_user: str
    champion: int


@dataclass(frozen=True, eq=False)
class Refit:
    """The final model, and what it is worth."""

    model: TwoTower
    test: Mapping[str, float]
    popularity: Mapping[str, float]


def promote(places: Places, study_name: str | None, *, data: str | None = None) -> Promotion:
    """Make the best trial of a study the champion; nothing new if it was promoted before.

    Args:
        places: where the study and MLflow live.
        study_name: None: the newest.
        data: name or path of the study's data, if it has moved.

    Raises:
        StudyError: there is no such study, or another process promotes from it.
        PromotionError: no trial is complete, or the data is not what the study was made on.
        TrackingError: MLflow does not answer.
    """
    study = load_study(open_storage(places.storage), study_name)
    candidate = best_candidate(study)
    with exclusive(places.storage, study.study_name, role="promote"):
        client = open_client(places.tracking_uri)
        with tracking_errors(places.tracking_uri):
            version = registry.find_version(client, candidate.version_tags)
            is_new = version is None
            if version is None:
                split = load_split(candidate.record, data)
                version = _make_version(client, places.experiment, candidate, split)
            registry.crown(client, version)
            return _describe(client, version, candidate, is_new=is_new)


def load_split(record: StudyRecord, data: str | None) -> Split:
    """The study's data, split as it was.

    Raises:
        PromotionError: it is not the same any more.
    """
    config = record.config
    if data is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"source": data})})
    _, split = load_data(config)
    if split.fingerprint != record.split_fingerprint:
        raise PromotionError(
            f"{config.data.source} is not the data that the study was made on (data and split "
            f"were {record.split_fingerprint}, are {split.fingerprint}); give it with --data"
        )
    return split


def refit(split: Split, config: TrainConfig, epochs: int) -> Refit:
    """Train on train + validation for a fixed number of epochs, then look at test once."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seen = split.final.seen
    torch.set_num_threads(useful_threads(seen.n_items, config, torch.get_num_threads()))
    trainer = Trainer(seen, config, device)
    for _ in range(epochs):
        trainer.train_epoch()
    evaluator = Evaluator(split.final, device)
    test = evaluator.evaluate(TowerScorer(trainer.model, seen)).mean()
    popularity = evaluator.evaluate(Popularity(seen, device)).mean()
    return Refit(trainer.model, test.as_dict(), popularity.as_dict())


def _make_version(
    client: MlflowClient, experiment_name: str, candidate: Candidate, split: Split
) -> ModelVersion:
    """Train, measure, log and register, in a run of its own."""
    experiment = experiment_id(client, experiment_name)
    registry.fail_unfinished(client, experiment, candidate.run_tags)
    tags = {**candidate.run_tags, "hpo.kind": "promotion", "optuna.study": candidate.study}
    if parent := registry.study_run(client, experiment, candidate.record.uid):
        tags["mlflow.parentRunId"] = parent
    name = f"promotion of trial {candidate.trial}"
    with open_run(client, experiment, name, tags) as run, tempfile.TemporaryDirectory() as temp:
        log_params(client, run, {**candidate.config.as_dict(), "refit_epochs": candidate.epochs})
        final = refit(split, candidate.config, candidate.epochs)
        figures = {TEST + name: value for name, value in final.test.items()}
        figures |= {POPULARITY + name: value for name, value in final.popularity.items()}
        log_metrics(client, run, figures, time.time_ns() // 1_000_000)
        folder = Path(temp) / "model"
        _save(folder, candidate, split, final)
        log_checkpoint(client, run, folder)
        log_pair_scorer(client, experiment, run, PairScorer.of(final.model, split.interactions))
        save = partial(save_pyfunc, folder, split.interactions.user_ids[0])
        model_id = log_model(client, experiment, run, "recommender", save)
        tags = _version_tags(candidate, split, folder)
        card = model_card(candidate, split, final.test, final.popularity, tags["hpo.git_commit"])
        return registry.register(client, model_id, run, tags, card)


def _save(folder: Path, candidate: Candidate, split: Split, final: Refit) -> None:
    """The full history to serve from, the measured one to check the figures by."""
    about = {
        **checkpoint.origin(candidate.record.data_name, split),
        "trained_on": "train + validation",
        "epochs": candidate.epochs,
        "test": final.test,
    }
    checkpoint.save(folder, final.model, split.interactions, about, measured=split.final.seen)


def _version_tags(candidate: Candidate, split: Split, folder: Path) -> dict[str, str]:
    return {
        **candidate.version_tags,
        "optuna.study": candidate.study,
        "hpo.data_fingerprint": split.interactions.fingerprint,
        "hpo.split_fingerprint": split.fingerprint,
        EXAMPLE_USER: split.interactions.user_ids[0],
        "hpo.git_commit": environment().get("git_commit", "unknown"),
        **{f"sha256.{name}": digest for name, digest in checkpoint.stored_files(folder).items()},
    }


def _describe(
    client: MlflowClient, version: ModelVersion, candidate: Candidate, *, is_new: bool
) -> Promotion:
    metrics = client.get_run(version.run_id).data.metrics
    test, popularity = (
        {name.removeprefix(prefix): v for name, v in metrics.items() if name.startswith(prefix)}
        for prefix in (TEST, POPULARITY)
    )
    return Promotion(
        version=int(version.version),
        is_new=is_new,
        run_id=version.run_id,
        study=candidate.study,
        trial=candidate.trial,
        config=candidate.config,
        epochs=candidate.epochs,
        validation=candidate.validation,
        test=test,
        popularity=popularity,
        example_user=version.tags[EXAMPLE_USER],
        champion=int(registry.alias_holder(client, registry.CHAMPION) or version.version),
    )
