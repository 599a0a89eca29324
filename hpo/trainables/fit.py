"""One training of a recommender of the user's own, with a check of each epoch."""

from __future__ import annotations

import inspect
import math
import time
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hpo.errors import TrainingFailed
from hpo.trainables.loading import load_trainable
from recsys.config import Hyperparameters, TrainConfig
from recsys.data import Holdout
from recsys.errors import CheckpointError, DivergedError, ScoreError
from recsys.evaluation import MetricName, Metrics, measured_names
from recsys.training import EpochResult, Fit, check_snapshot, peak_resident_mb

if TYPE_CHECKING:
    from hpo.trainables.protocol import ModelTraining, Trainable
    from recsys.models import Scorer


ENDED: Any = object()
MEANS = [field.name for field in fields(Metrics) if field.name not in ("n_users", "more")]


def new_training(
    reference: str | None,
    holdout: Holdout,
    values: Mapping[str, Any],
    device: torch.device,
    metrics: tuple[MetricName, Sequence[int]],
) -> ModelTraining:
    """Return a training of any model that has not begun.

    Args:
        reference: the model as `package.module:Class`; None: the two-tower.
        holdout: history to train on and relevant items to score with.
        values: all hyperparameters by name.
        device: device of the training.
        metrics: the metric that decides which epoch is best, and cut-offs of further rankings.

    Raises:
        SettingsError: the class cannot be imported here.
        ConfigError: a hyperparameter is unknown or illegal.
    """
    if reference is None:
        return Fit(holdout, TrainConfig.from_dict(values), device, *metrics)
    trainable = load_trainable(reference)
    config = trainable.config.from_dict(values)
    return TrainableFit(reference, trainable, holdout, config, device, metrics)


class TrainableFit:
    """A training of a `Trainable`: iterate over it to train.

    Args:
        reference: name of the model, for errors.
        trainable: the model.
        holdout: history to train on and relevant items to score with.
        config: all hyperparameters.
        device: device of the training.
        metrics: the metric that decides which epoch is best, and cut-offs of further rankings.
    """

    def __init__(
        self,
        reference: str,
        trainable: Trainable,
        holdout: Holdout,
        config: Hyperparameters,
        device: torch.device,
        metrics: tuple[MetricName, Sequence[int]],
    ) -> None:
        self._reference, self._config, self._objective = reference, config, metrics[0]
        offered = {"device": str(device), "names": measured_names(*metrics)}
        wanted = inspect.signature(trainable.epochs).parameters
        given = {name: value for name, value in offered.items() if name in wanted}
        self._begin = partial(trainable.epochs, holdout, config, **given)
        self._begun: Any = None

    def __iter__(self) -> Iterator[EpochResult]:
        """Yield the checked epochs, at most `config.epochs`.

        Raises:
            DivergedError: the loss or the objective is not finite.
            TypeError: the model yields something else than epochs.
            ValueError: an epoch has a wrong number, lacks the objective, or has another metric that
                is not finite; or there is no epoch.
        """
        found = self._yielded()
        try:
            for epoch in range(1, self._config.epochs + 1):
                start, cpu_start = time.perf_counter(), time.process_time()
                result = self._next(found, epoch)
                if result is ENDED and epoch == 1:
                    raise ValueError(f"{self._reference}.epochs ended without an epoch")
                if result is ENDED:
                    return
                checked = self._checked(epoch, result)
                yield replace(
                    checked,
                    seconds=checked.seconds or time.perf_counter() - start,
                    cpu_seconds=checked.cpu_seconds or time.process_time() - cpu_start,
                    memory_mb=checked.memory_mb or peak_resident_mb(),
                )
        finally:
            found.close()  # the `finally` of the model's generator runs now, not some time later

    @property
    def _epochs(self) -> Any:
        """Return what the model's method returns; called late, since it may do all the work."""
        if self._begun is None:
            self._begun = self._begin()
        return self._begun

    def _yielded(self) -> Generator[object]:
        """Yield what the model yields."""
        yield from self._epochs

    def _next(self, found: Iterator[object], epoch: int) -> object:
        """Return what the model yields next; `ENDED` if it yields nothing more."""
        try:
            return next(found, ENDED)
        except ScoreError as error:
            if error.is_nan:
                raise DivergedError(epoch, 0, math.nan) from error
            raise

    def _checked(self, epoch: int, result: object) -> EpochResult:
        """Return the next epoch with plain numbers; refuse anything else, see `__iter__`."""
        if not isinstance(result, EpochResult):
            raise TypeError(
                f"{self._reference}.epochs yielded {type(result).__name__}; yield "
                "recsys.EpochResult(epoch, train_loss, metrics)"
            )
        if result.epoch != epoch:
            raise ValueError(
                f"{self._reference}.epochs yielded epoch {result.epoch} as number {epoch}; count "
                "from 1 and leave none out"
            )
        result = _plain(result)
        values = result.metrics.as_dict()
        if self._objective not in values:
            raise ValueError(
                f"{self._reference}.epochs did not measure {self._objective}, the study's "
                "objective; take the parameter names and give it to Evaluator(holdout, names=names)"
            )
        for value in (result.train_loss, values[self._objective]):
            if not math.isfinite(value):
                raise DivergedError(epoch, 0, value)
        if others := [name for name, value in values.items() if not math.isfinite(value)]:
            raise ValueError(
                f"{self._reference}.epochs measured {', '.join(others)} as "
                f"{values[others[0]]}; give 0.0 for what you do not measure"
            )
        return result

    def save(self, path: Path) -> None:
        """Save the training if the model can; else it starts again at its first epoch.

        Args:
            path: the file; its folder is made if missing.
        """
        if hasattr(self._epochs, "save"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._epochs.save(path)

    def resume(self, path: Path) -> None:
        """Continue from a file of `save`, if the model can.

        Args:
            path: the file.

        Raises:
            CheckpointError: the model cannot read the file; this training is of no use any more.
        """
        training = self._epochs
        if hasattr(training, "resume"):
            try:
                training.resume(path)
            except Exception as error:
                raise CheckpointError(f"{path}: {type(error).__name__}: {error}") from error


def _plain(result: EpochResult) -> EpochResult:
    """Return an epoch whose numbers are Python's own, which JSON and the storage know.

    A model may give numbers of NumPy or torch, and objects of classes that it derives.
    """
    found = result.metrics
    means = {name: float(getattr(found, name)) for name in MEANS}
    more = {name: float(value) for name, value in found.more.items()}
    return EpochResult(
        epoch=int(result.epoch),
        train_loss=float(result.train_loss),
        metrics=Metrics(**means, n_users=int(found.n_users), more=more),
        seconds=float(result.seconds),
        evaluation_seconds=float(result.evaluation_seconds),
        cpu_seconds=float(result.cpu_seconds),
        memory_mb=float(result.memory_mb),
        gpu_memory_mb=float(result.gpu_memory_mb),
    )


def no_snapshot(reference: str | None, snapshot: Path, config: Hyperparameters) -> str:
    """Return why a parked training cannot go on where it was; "" if it can.

    Args:
        reference: the model as `package.module:Class`; None: the two-tower.
        snapshot: file that `ModelTraining.save` may have written.
        config: all hyperparameters of the training.
    """
    if reference is not None:
        return "" if snapshot.exists() else f"{reference} saved no training"
    try:
        check_snapshot(snapshot, TrainConfig.of(config))
    except CheckpointError as error:
        return str(error)
    return ""


class _ScorerOn:
    """A scorer of the user's own as one with float32 tensors on a device.

    Args:
        scorer: its scores may be a NumPy array.
        device: device of the scores.
    """

    def __init__(self, scorer: Any, device: torch.device) -> None:
        self._scorer, self._device = scorer, device

    def scores(self, users: Tensor) -> Tensor:
        """Return the (b, n_items) float32 scores of users (b,) int64."""
        found = self._scorer.scores(users.cpu())
        return torch.as_tensor(found, dtype=torch.float32, device=self._device)


def trained_scorer(
    reference: str,
    holdout: Holdout,
    config: Hyperparameters,
    epochs: int,
    device: torch.device,
) -> Scorer | None:
    """Return a model of the user's own after some epochs; None if it offers no scorer.

    Args:
        reference: the model as `package.module:Class`.
        holdout: history to train on and relevant items.
        config: all hyperparameters.
        epochs: number of epochs.
        device: device of the scores.

    Raises:
        SettingsError: the class cannot be imported here.
        TrainingFailed: the model's method `scorer` raised an error.
    """
    trainable = load_trainable(reference)
    if not hasattr(trainable, "scorer"):
        return None
    try:
        return _ScorerOn(trainable.scorer(holdout, config, epochs), device)
    except Exception as error:
        message = f"{reference}.scorer failed: {type(error).__name__}: {error}"
        raise TrainingFailed(message, traceback.format_exc()) from error
