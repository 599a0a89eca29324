"""Training in this process: for tests and debugging, where a breakpoint should work."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Generator
from pathlib import Path

import torch

from hpo.errors import Parked, TrainingFailed
from hpo.runners import go_on
from recsys.config import TrainConfig
from recsys.epoch_result import EpochResult
from recsys.errors import RecsysError
from recsys.split import Holdout
from recsys.trainer import Fit


class InlineRunner:
    """Trains on `holdout` in the calling thread."""

    name = "inline"

    def __init__(self, holdout: Holdout, device: torch.device) -> None:
        self._holdout, self._device, self.device = holdout, device, str(device)
        self.threads = torch.get_num_threads()
        self._parking = threading.Event()

    def epochs(self, config: TrainConfig, snapshot: Path | None = None) -> Generator[EpochResult]:
        self._parking.clear()
        try:
            fit = Fit(self._holdout, config, self._device)
            go_on(fit, snapshot)
            for result in fit:
                yield result
                if snapshot and self._parking.is_set():
                    fit.save(snapshot)
                    raise Parked
        except (RecsysError, MemoryError, GeneratorExit):
            raise
        except Exception as error:
            raise TrainingFailed(
                f"{type(error).__name__}: {error}", traceback.format_exc()
            ) from error

    def park(self) -> None:
        self._parking.set()

    def kill(self) -> None:
        """Nothing to kill: the training ends with the thread that runs it."""

    def close(self) -> None:
        """Nothing to give back."""
