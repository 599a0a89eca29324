"""Training in this process: for tests and debugging, where a breakpoint should work."""

from __future__ import annotations

import traceback
from collections.abc import Generator

import torch

from hpo.errors import TrainingFailed
from recsys.config import TrainConfig
from recsys.errors import RecsysError
from recsys.split import Holdout
from recsys.trainer import EpochResult, Fit


class InlineRunner:
    """Trains on `holdout` in the calling thread."""

    name = "inline"

    def __init__(self, holdout: Holdout, device: torch.device) -> None:
        self._holdout, self._device = holdout, device
        self.threads = torch.get_num_threads()

    def epochs(self, config: TrainConfig) -> Generator[EpochResult]:
        try:
            yield from Fit(self._holdout, config, self._device)
        except (RecsysError, MemoryError, GeneratorExit):
            raise
        except Exception as error:
            raise TrainingFailed(
                f"{type(error).__name__}: {error}", traceback.format_exc()
            ) from error

    def kill(self) -> None:
        """Nothing to kill: the training ends with the thread that runs it."""

    def close(self) -> None:
        """Nothing to give back."""
