"""Training in this process, for tests and for debugging with breakpoints."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import torch

from hpo.errors import Parked, WorkerDied
from hpo.runners.base import TrainingSetup
from hpo.runners.failures import failure_of
from recsys.config import Hyperparameters
from recsys.data import Holdout
from recsys.evaluation import MetricName
from recsys.training import EpochResult


class InlineRunner:
    """A runner that trains in the calling thread.

    Args:
        holdout: history to train on and relevant items to score with.
        objective: the metric that decides which epoch is best.
        device: device of the trainings.
        cutoffs: cut-offs of further rankings to measure.
        trainable: the model to train, see `StudyConfig.trainable`.

    Attributes:
        threads: torch threads of this process.
        device: name of the device.
        began: see `Runner`.
    """

    name = "inline"
    processor = node = ""  # this machine's

    def __init__(
        self,
        holdout: Holdout,
        objective: MetricName,
        device: torch.device,
        cutoffs: Sequence[int] = (),
        trainable: str | None = None,
    ) -> None:
        self._setup = TrainingSetup(holdout, device, (objective, tuple(cutoffs)), trainable)
        self.device = str(device)
        self.threads = torch.get_num_threads()
        self.began: float | None = None
        self._parking, self._killed = threading.Event(), threading.Event()

    def is_ready(self) -> bool:
        """Return True: this process can always train."""
        return True

    def epochs(
        self, config: Hyperparameters, snapshot: Path | None = None
    ) -> Generator[EpochResult]:
        """Train `config` in this thread and yield its epochs, see `Runner.epochs`.

        Args:
            config: all hyperparameters.
            snapshot: file in which `park` saves the training, and from which it resumes.

        Raises:
            Parked: the training was saved, as `park` asked.
            WorkerDied: `kill` ended the training after its epoch.
            DivergedError: the loss is not finite.
            MemoryError: the config does not fit.
            TrainingFailed: the training raised any other error.
        """
        self._parking.clear()
        self._killed.clear()
        try:
            fit = self._setup.begin(config.as_dict(), snapshot)
            self.began = time.monotonic()
            for result in fit:
                yield result
                if self._killed.is_set():
                    raise WorkerDied("ended after its epoch")
                if snapshot and self._parking.is_set():
                    fit.save(snapshot)
                    raise Parked
        except (Parked, WorkerDied):
            raise
        except Exception as error:
            failure = failure_of(error)
            if failure is error:
                raise
            raise failure from error
        finally:
            self.began = None

    def park(self) -> None:
        """Save the running training after its current epoch and end it, see `Runner.park`."""
        self._parking.set()

    def kill(self) -> None:
        """End the running training after its current epoch, see `Runner.kill`."""
        self._killed.set()  # a thread cannot be ended from outside, so `epochs` looks at this

    def close(self) -> None:
        """Do nothing: this runner owns no process."""
