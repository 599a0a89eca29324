"""Training in this process: for tests and debugging, where a breakpoint should work."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path

import torch

from hpo.errors import Parked, WorkerDied
from hpo.runners.base import go_on
from hpo.runners.failures import failure_of
from recsys.config import TrainConfig
from recsys.data.split import Holdout
from recsys.evaluation.metrics import MetricName
from recsys.training.epoch import EpochResult
from recsys.training.fit import Fit


class InlineRunner:
    """Trains in the calling thread.

    Args:
        holdout: what trainings learn from and are asked.
        objective: by which epochs are compared.
        device: where.
    """

    name = "inline"

    def __init__(self, holdout: Holdout, objective: MetricName, device: torch.device) -> None:
        self._holdout, self._device, self.device = holdout, device, str(device)
        self._objective: MetricName = objective
        self.threads = torch.get_num_threads()
        self.began: float | None = None
        self._parking, self._killed = threading.Event(), threading.Event()

    def epochs(self, config: TrainConfig, snapshot: Path | None = None) -> Generator[EpochResult]:
        self._parking.clear()
        self._killed.clear()
        try:
            fit = Fit(self._holdout, config, self._device, self._objective)
            go_on(fit, snapshot)
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
        self._parking.set()

    def kill(self) -> None:
        self._killed.set()  # no thread can be ended from outside

    def close(self) -> None:
        """Nothing to give back."""
