"""Engines that train: where the epochs of a trial come from.

The objective pulls; whether the arithmetic happens in this process, in a worker process or on
another machine is the runner's affair. An engine is one class with this protocol.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from recsys.config import TrainConfig
from recsys.trainer import EpochResult


class Runner(Protocol):
    """Trains one config at a time. **Owned by one thread.**

    `epochs` yields each epoch as it ends. Closing the iterator early stops that training; the
    runner can then be asked again. After an exception, too.
    """

    name: str
    threads: int

    def epochs(self, config: TrainConfig) -> Generator[EpochResult]:
        """Train `config` and yield its epochs.

        Raises:
            WorkerDied: the process that trained is gone or silent. Try again.
            DivergedError: the loss is not finite.
            MemoryError: the config does not fit.
            TrainingFailed: anything else that the training raised.
        """
        ...

    def kill(self) -> None:
        """End a running training at once, from another thread; `epochs` raises WorkerDied."""
        ...

    def close(self) -> None:
        """Give back processes and memory. Idempotent."""
        ...
