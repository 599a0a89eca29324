"""Training in a worker process of this machine: spawned, never forked; pipes, no sockets."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from hpo.errors import Parked, TrainingFailed, WorkerDied
from hpo.runners.failures import from_message
from hpo.runners.watchdog import Patience
from hpo.runners.worker_process import WorkerProcess
from recsys.config import TrainConfig
from recsys.evaluation.metrics import MetricName, Metrics
from recsys.training.epoch import EpochResult

USUAL_EPOCHS = 100  # the last ones tell what is usual


class ProcessRunner:
    """A slot with one worker process, started when first needed and again after it died.

    Args:
        data: file of `recsys.data.holdout_file.save_holdout`.
        objective: by which epochs are compared.
        device: torch device name, e.g. "cpu", "cuda:0".
        threads: torch threads of the worker.
    """

    name = "process"

    def __init__(
        self,
        data: Path,
        objective: MetricName,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        self.threads, self.device = threads, device
        self._command = [
            *(sys.executable, "-m", "hpo.runners.worker"),
            *("--data", str(data), "--objective", objective),
            *("--device", device, "--threads", str(threads)),
        ]
        self._worker: WorkerProcess | None = None
        self._task = 0
        self._epoch_seconds: list[float] = []
        self.began: float | None = None

    @property
    def pid(self) -> int | None:
        """Of the living worker; None before the first task and after a death."""
        return self._worker.pid if self._worker else None

    def epochs(self, config: TrainConfig, snapshot: Path | None = None) -> Generator[EpochResult]:
        worker = self._ready_worker()
        self._task += 1
        place = str(snapshot.resolve()) if snapshot else None
        worker.send({"task": self._task, "train": config.as_dict(), "snapshot": place})
        running = True
        try:
            while "end" not in (message := self._next(worker)):
                if "began" in message:
                    self.began = time.monotonic()
                    continue
                result = _epoch_result(message["epoch"])
                self._epoch_seconds.append(result.seconds)
                yield result
            running = False
            _raise_failure(message)
        except GeneratorExit:
            worker.send({"stop": self._task})
            raise
        except WorkerDied as error:
            self._bury(worker, error)
            raise
        finally:
            if running and self._worker is worker:
                self._drain(worker)
            self.began = None

    def _drain(self, worker: WorkerProcess) -> None:
        """Wait for the stopped training's last word, so that the worker is free again."""
        try:
            while "end" not in self._next(worker):
                pass
        except WorkerDied:
            self.close()

    def _ready_worker(self) -> WorkerProcess:
        if self._worker is None:
            worker = self._worker = WorkerProcess(self._command)
            try:
                _wait(worker, Patience(), ready=True)
            except WorkerDied as error:
                was_killed = worker.was_killed
                self._bury(worker, error)
                if was_killed:
                    raise
                raise TrainingFailed("the worker cannot start", str(error)) from error
        return self._worker

    def _bury(self, worker: WorkerProcess, error: WorkerDied) -> None:
        """Close the worker that died.

        Raises:
            MemoryError: it died of that.
        """
        self.close()
        if worker.out_of_memory:
            raise MemoryError(str(error)) from error

    def _next(self, worker: WorkerProcess) -> dict[str, Any]:
        """The next message of the current task."""
        usual = self._epoch_seconds[-USUAL_EPOCHS:] if self.began is not None else []
        return _wait(worker, Patience(usual), task=self._task)

    def park(self) -> None:
        if (worker := self._worker) is not None:
            worker.send({"park": self._task})

    def kill(self) -> None:
        if (worker := self._worker) is not None:
            worker.kill()

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _wait(worker: WorkerProcess, patience: Patience, **wanted: object) -> dict[str, Any]:
    """The next message that has the `wanted` values.

    Raises:
        WorkerDied: it is gone, silent or stalled.
    """
    while not wanted.items() <= (message := worker.receive()).items():
        if "alive" in message and (reason := patience.complaint(message["cpu"])):
            worker.kill()
            raise WorkerDied(f"the worker was stalled: {reason}, killed")
    return message


def _epoch_result(values: dict[str, Any]) -> EpochResult:
    return EpochResult(**{**values, "metrics": Metrics(**values["metrics"])})


def _raise_failure(message: dict[str, Any]) -> None:
    if message["end"] == "done":
        return
    if message["end"] == "parked":
        raise Parked
    raise from_message(message)
