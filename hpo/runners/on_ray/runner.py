"""Training on a Ray cluster: an actor for each slot, which streams its epochs."""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

from hpo.errors import TrainingFailed, WorkerDied
from hpo.runners.messages import EpochStream, raise_failure
from hpo.runners.on_ray.cluster import RayCluster
from hpo.runners.on_ray.worker import RayWorker
from recsys.config import Hyperparameters
from recsys.drafts import replacing
from recsys.training import EpochResult

READY_POLL_SECONDS = 0.2


class RayRunner:
    """A runner with one worker on a cluster, asked for at the first call and again after a loss.

    Args:
        cluster: the joined cluster, which has the data.
        threads: torch threads of the worker.

    Attributes:
        threads: torch threads of the worker.
        device: torch device name in the worker.
        processor, node: see `Runner`; of the last worker that had a place.
    """

    name = "ray"

    def __init__(self, cluster: RayCluster, threads: int = 1) -> None:
        self._cluster = cluster
        self.threads, self.device = threads, cluster.need.device
        self.processor = self.node = ""
        self._worker: RayWorker | None = None
        self._task = 0
        self._stream = EpochStream()

    @property
    def began(self) -> float | None:
        """Return when the running training began, see `Runner`."""
        return self._stream.began

    def is_ready(self) -> bool:
        """Return True if the worker has its place and data, see `Runner.is_ready`.

        Raises:
            StudyStopped: no worker of the study has had a place for long.
        """
        if self._worker is not None and self._worker.is_lost:
            self._discard_worker()
        if self._worker is None:
            self._worker = self._cluster.new_worker()
        worker = self._worker
        if self._prepared(worker):
            self.node, self.processor = worker.place, worker.processor
            self._cluster.placed(self)
            return True
        self._cluster.check_wait(self, worker.asked)
        return False

    def _prepared(self, worker: RayWorker) -> bool:
        """Return True if the worker can train; give it up if it never will."""
        try:
            if not worker.is_prepared():
                return False
            if self._cluster.is_usable(worker):
                return True
        except TrainingFailed as error:
            self._cluster.leave_out(worker, f"a worker cannot start there: {error}")
        except (WorkerDied, MemoryError) as error:
            self._cluster.tell(f"a worker was lost before its first training: {error}")
        self._discard_worker()
        return False

    def epochs(
        self, config: Hyperparameters, snapshot: Path | None = None
    ) -> Generator[EpochResult]:
        """Train `config` on the cluster and yield its epochs, see `Runner.epochs`.

        Args:
            config: all hyperparameters.
            snapshot: file in which `park` saves the training, and from which it resumes. It lies on
                the launcher's disk, so that a training parked on one node resumes on another.

        Raises:
            Parked: the training was saved, as `park` asked.
            NodeLost: the node is gone.
            WorkerDied: the worker is gone, silent or stalled.
            DivergedError: the loss is not finite.
            MemoryError: the config does not fit.
            TrainingFailed: the training raised any other error.
        """
        worker = self._ready_worker()
        self._task += 1
        worker.start(self._task, config.as_dict(), _content(snapshot), parks=snapshot is not None)
        running = True
        try:
            message = yield from self._stream.results(partial(self._next, worker))
            running = False
            if message["end"] == "error" and self.device != "cpu":
                self.close()  # after an error of its own a GPU refuses all else of the process
            if snapshot is not None and (content := message.get("snapshot")) is not None:
                _keep(snapshot, content)
            raise_failure(message)
        except GeneratorExit:
            worker.ask("stop", self._task)
            raise
        except (WorkerDied, MemoryError):
            if running:
                self._discard_worker()
            raise
        finally:
            if running and self._worker is worker:
                self._drain(worker)
            self._stream.began = None

    def _ready_worker(self) -> RayWorker:
        """Return the worker, waited for if it has no place yet.

        Raises:
            WorkerDied: it was killed before the training.
        """
        while (worker := self._worker) is None or not worker.is_lost:
            if self.is_ready() and self._worker is not None:
                return self._worker
            time.sleep(READY_POLL_SECONDS)
        self._discard_worker()
        raise WorkerDied("the worker was killed")

    def _next(self, worker: RayWorker) -> dict[str, Any]:
        """Return the next message of the training.

        Raises:
            WorkerDied: the worker is gone, silent or stalled.
        """
        stall_limit = self._stream.stall_limit()
        while "alive" in (message := worker.receive()):
            if reason := stall_limit.complaint(message["cpu"]):
                worker.kill()
                raise WorkerDied(f"the worker was stalled: {reason}, killed")
        return message

    def _drain(self, worker: RayWorker) -> None:
        """Wait for the last message of a stopped training, so that the worker is free again."""
        try:
            while "end" not in self._next(worker):
                pass
        except (WorkerDied, MemoryError, TrainingFailed):
            self._discard_worker()

    def _discard_worker(self) -> None:
        """Give up the worker; the next call of `is_ready` asks for another."""
        self._cluster.lost(self)
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def park(self) -> None:
        """Save the running training after its current epoch and end it, see `Runner.park`."""
        if (worker := self._worker) is not None:
            worker.ask("park", self._task)

    def kill(self) -> None:
        """Kill the worker at once, see `Runner.kill`."""
        if (worker := self._worker) is not None:
            worker.kill()

    def close(self) -> None:
        """End the worker; a later training asks for another."""
        self._discard_worker()


def _content(snapshot: Path | None) -> bytes | None:
    """Return the content of a snapshot; None if there is none."""
    return snapshot.read_bytes() if snapshot is not None and snapshot.exists() else None


def _keep(snapshot: Path, content: bytes) -> None:
    """Write a snapshot that a worker sent.

    Raises:
        TrainingFailed: the disk does not take it.
    """
    try:
        with replacing(snapshot) as draft:
            draft.write_bytes(content)
    except OSError as error:
        raise TrainingFailed(
            f"{snapshot}: the training cannot be parked ({error})", traceback.format_exc()
        ) from error
