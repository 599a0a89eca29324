"""Engines that train: where the epochs of a trial come from.

The objective pulls; whether the arithmetic happens in this process, in a worker process or on
another machine is the runner's affair. An engine is one class with this protocol.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from recsys.config import TrainConfig
from recsys.errors import CheckpointError
from recsys.training.epoch import EpochResult

if TYPE_CHECKING:
    from recsys.training.fit import Fit


class Runner(Protocol):
    """Trains one config at a time. **Owned by one thread.**

    `epochs` yields each epoch as it ends. Closing the iterator early stops that training; the
    runner can then be asked again. After an exception, too.

    Attributes:
        began: `time.monotonic()` when the running training was set up and its epochs began; None
            while none does. Other threads read it.
    """

    name: str
    threads: int
    device: str
    began: float | None

    def epochs(self, config: TrainConfig, snapshot: Path | None = None) -> Generator[EpochResult]:
        """Train `config` and yield its epochs.

        Args:
            snapshot: where the training is put aside when it is parked. If the file is there, the
                training goes on from it; if it cannot be read, from the first epoch.

        Raises:
            Parked: as `park` asked.
            WorkerDied: the process that trained is gone or silent. Try again.
            DivergedError: the loss is not finite.
            MemoryError: the config does not fit.
            TrainingFailed: anything else that the training raised.
        """
        ...

    def park(self) -> None:
        """Put a running training aside after its epoch, from another thread.

        `epochs` raises Parked, or TrainingFailed if the disk does not take the snapshot. Nothing
        happens to a training without a snapshot, or if none runs.
        """
        ...

    def kill(self) -> None:
        """End a running training, from another thread; `epochs` raises WorkerDied.

        At once, or after its epoch where the engine cannot break into one.
        """
        ...

    def close(self) -> None:
        """Give back processes and memory. Idempotent."""
        ...


def go_on(fit: Fit, snapshot: Path | None) -> None:
    """Bring a new training to where it was put aside, if it was.

    A snapshot that cannot be read costs time, not truth: the training starts at its first epoch
    and comes to the same numbers.
    """
    if snapshot is None or not snapshot.exists():
        return
    try:
        fit.resume(snapshot)
    except CheckpointError as error:
        print(f"starting again from the first epoch: {error}", file=sys.stderr)
