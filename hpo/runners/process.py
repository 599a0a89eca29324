"""Training in a worker process of this machine: spawned, never forked; pipes, no sockets."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hpo.errors import TrainingFailed, WorkerDied
from hpo.runners.messages import EpochStream, raise_failure
from hpo.runners.watchdog import StallLimit
from hpo.runners.worker_process import WorkerProcess
from recsys.config import Hyperparameters
from recsys.evaluation import MetricName
from recsys.training import EpochResult


class ProcessRunner:
    """A runner with one worker process, started at the first task and again after a death.

    Args:
        data: file of `recsys.data.holdout_file.save_holdout`.
        objective: the metric that decides which epoch is best.
        device: torch device name, e.g. "cpu", "cuda:0".
        threads: torch threads of the worker.
        cutoffs: cut-offs of further rankings to measure.
        trainable: the model to train, see `StudyConfig.trainable`.

    Attributes:
        threads: torch threads of the worker.
        device: torch device name of the worker.
    """

    name = "process"
    processor = node = ""  # this machine's

    def __init__(
        self,
        data: Path,
        objective: MetricName,
        device: str = "cpu",
        threads: int = 1,
        cutoffs: Sequence[int] = (),
        trainable: str | None = None,
    ) -> None:
        self.threads, self.device = threads, device
        self._command = [
            *(sys.executable, "-m", "hpo.runners.worker"),
            *("--data", str(data), "--objective", objective),
            *("--device", device),
            *("--cutoffs", *map(str, cutoffs)),
            *(["--trainable", trainable] if trainable else []),
            *("--threads", str(threads)),  # the last: see WorkerProcess
        ]
        self._worker: WorkerProcess | None = None
        self._task = 0
        self._stream = EpochStream()

    @property
    def began(self) -> float | None:
        """Return when the running training began, see `Runner`."""
        return self._stream.began

    @property
    def pid(self) -> int | None:
        """Return the living worker's process id; None before the first task and after a death."""
        return self._worker.pid if self._worker else None

    def is_ready(self) -> bool:
        """Return True: a worker starts with its first task."""
        return True

    def epochs(
        self, config: Hyperparameters, snapshot: Path | None = None
    ) -> Generator[EpochResult]:
        """Train `config` in the worker and yield its epochs, see `Runner.epochs`.

        Args:
            config: all hyperparameters.
            snapshot: file in which `park` saves the training, and from which it resumes.

        Raises:
            Parked: the training was saved, as `park` asked.
            WorkerDied: the worker is gone, silent or stalled.
            DivergedError: the loss is not finite.
            MemoryError: the config does not fit.
            TrainingFailed: the training raised any other error, or the worker cannot start.
        """
        worker = self._ready_worker()
        self._task += 1
        place = str(snapshot.resolve()) if snapshot else None
        worker.send({"task": self._task, "train": config.as_dict(), "snapshot": place})
        running = True
        try:
            message = yield from self._stream.results(partial(self._next, worker))
            running = False
            if message["end"] == "error" and self.device != "cpu":
                self.close()  # after an error of its own a GPU refuses all else of the process
            raise_failure(message)
        except GeneratorExit:
            worker.send({"stop": self._task})
            raise
        except WorkerDied as error:
            self._discard_worker(worker, error)
            raise
        finally:
            if running and self._worker is worker:
                self._drain(worker)
            self._stream.began = None

    def _drain(self, worker: WorkerProcess) -> None:
        """Wait for the last message of a stopped training, so that the worker is free again."""
        try:
            while "end" not in self._next(worker):
                pass
        except WorkerDied:
            self.close()

    def _ready_worker(self) -> WorkerProcess:
        """Return the worker, started and ready for a task.

        Raises:
            WorkerDied: a signal ended the worker while it started.
            MemoryError: memory ran out while the worker started.
            TrainingFailed: the worker cannot start.
        """
        if self._worker is None:
            worker = self._worker = WorkerProcess(self._command)
            try:
                _wait(worker, StallLimit(), ready=True)
            except WorkerDied as error:
                was_killed = worker.was_killed
                self._discard_worker(worker, error)
                if was_killed:
                    raise
                raise TrainingFailed("the worker cannot start", str(error)) from error
        return self._worker

    def _discard_worker(self, worker: WorkerProcess, error: WorkerDied) -> None:
        """Close the worker that died.

        Raises:
            MemoryError: the worker was killed because memory ran out.
        """
        self.close()
        if worker.out_of_memory:
            raise MemoryError(str(error)) from error

    def _next(self, worker: WorkerProcess) -> dict[str, Any]:
        """Return the next message of the current task."""
        return _wait(worker, self._stream.stall_limit(), task=self._task)

    def park(self) -> None:
        """Save the running training after its current epoch and end it, see `Runner.park`."""
        if (worker := self._worker) is not None:
            worker.send({"park": self._task})

    def kill(self) -> None:
        """Kill the worker at once, see `Runner.kill`."""
        if (worker := self._worker) is not None:
            worker.kill()

    def close(self) -> None:
        """End the worker; a later task starts a new one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _wait(worker: WorkerProcess, stall_limit: StallLimit, **wanted: object) -> dict[str, Any]:
    """Return the next message that has the `wanted` values.

    Raises:
        WorkerDied: the worker is gone, silent or stalled.
    """
    while not wanted.items() <= (message := worker.receive()).items():
        if "alive" in message and (reason := stall_limit.complaint(message["cpu"])):
            worker.kill()
            raise WorkerDied(f"the worker was stalled: {reason}, killed")
    return message
