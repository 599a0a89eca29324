"""The protocol of runners, the engines that train the epochs of a trial.

The objective pulls epochs; the runner decides if this process, a worker process or another
machine computes them. An engine is one class with this protocol.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from hpo.trainables import ModelTraining, new_training
from recsys.config import Hyperparameters
from recsys.data import Holdout
from recsys.errors import CheckpointError
from recsys.evaluation import MetricName
from recsys.training import EpochResult


class Runner(Protocol):
    """An engine that trains one config at a time. **Owned by one thread.**

    Each epoch is yielded as it ends. Closing the iterator early stops that training; afterwards, or
    after an exception, the runner accepts another config.

    Attributes:
        name: kind of the engine.
        threads: torch threads of a training.
        device: torch device of a training.
        processor: model of the CPU or GPU that trains; "": that of this machine's device.
        node: machine of a cluster that trains; "": this one.
        began: `time.monotonic()` when the running training was set up and its epochs began; None
            while no training runs. Other threads read it.
    """

    name: str
    threads: int
    device: str
    processor: str
    node: str

    @property
    def began(self) -> float | None:
        """Return when the running training began, see above."""
        ...

    def is_ready(self) -> bool:
        """Return True if a training can begin; else look for a place meanwhile and return at once.

        Raises:
            StudyStopped: no worker of the study has had a place for long.
        """
        ...

    def epochs(
        self, config: Hyperparameters, snapshot: Path | None = None
    ) -> Generator[EpochResult]:
        """Train `config` and yield its epochs.

        Args:
            config: all hyperparameters.
            snapshot: file in which `park` saves the training. If the file exists, the training
                resumes from it; if it cannot be read, the training starts at the first epoch.

        Raises:
            Parked: the training was saved, as `park` asked.
            WorkerDied: the process that trained is gone or silent; the config may be tried again.
            NodeLost: the machine that trained is gone; the config is tried again.
            DivergedError: the loss is not finite.
            MemoryError: the config does not fit.
            TrainingFailed: the training raised any other error.
        """
        ...

    def park(self) -> None:
        """Save a running training after its current epoch and end it; called from another thread.

        `epochs` raises Parked, or TrainingFailed if the snapshot cannot be written. The call does
        nothing if no training runs or the training has no snapshot.
        """
        ...

    def kill(self) -> None:
        """End a running training, so that `epochs` raises WorkerDied; called from another thread.

        The training ends at once, or after its epoch if the engine cannot interrupt one.
        """
        ...

    def close(self) -> None:
        """Release processes and memory; may be called again."""
        ...


@dataclass(frozen=True)
class TrainingSetup:
    """The data, device, metrics and model that all trainings of a worker have in common.

    Attributes:
        holdout: history to train on and relevant items to score with.
        device: device of the trainings.
        metrics: the metric that decides which epoch is best, and cut-offs of further rankings.
        trainable: the model to train, see `StudyConfig.trainable`.
    """

    holdout: Holdout
    device: torch.device
    metrics: tuple[MetricName, Sequence[int]]
    trainable: str | None = None

    def begin(self, config: Mapping[str, Any], snapshot: Path | None) -> ModelTraining:
        """Return a training, resumed from its snapshot if there is one.

        A snapshot that cannot be read costs time only: the training starts at its first epoch and
        comes to the same numbers.

        Args:
            config: all hyperparameters by name.
            snapshot: file of `Fit.save`, which may not exist; None: there is none.

        Raises:
            SettingsError: the model's class cannot be imported here.
            ConfigError: a hyperparameter is unknown or illegal.
        """
        if snapshot is not None and snapshot.exists():
            try:
                return self._resumed(config, snapshot)
            except CheckpointError as error:
                print(f"starting again from the first epoch: {error}", file=sys.stderr)
        return self._new(config)  # another one: that one may have read a part of the snapshot

    def _resumed(self, config: Mapping[str, Any], snapshot: Path) -> ModelTraining:
        """Return a training that goes on from its snapshot; raises as `begin`.

        Raises:
            CheckpointError: the snapshot cannot be read.
        """
        fit = self._new(config)
        fit.resume(snapshot)
        return fit

    def _new(self, config: Mapping[str, Any]) -> ModelTraining:
        """Return a training that begins at its first epoch; raises as `begin`."""
        return new_training(self.trainable, self.holdout, config, self.device, self.metrics)

    def repeats_quickly(self, snapshot: Path | None) -> bool:
        """Return True if the first epochs may be repeated ones that took no time.

        The two-tower stores with each epoch what it took; of another model nobody knows.

        Args:
            snapshot: file from which the training was to resume.
        """
        return self.trainable is not None and snapshot is not None and snapshot.exists()
