"""Training in a worker process of this machine: spawned, never forked; pipes, no sockets."""

from __future__ import annotations

import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from hpo.errors import Parked, TrainingFailed, WorkerDied
from hpo.runners.failures import from_message
from recsys.config import TrainConfig
from recsys.epoch_result import EpochResult
from recsys.metrics import Metrics

SILENCE_SECONDS = 60.0  # a living worker gives a sign every 5
STALL_FACTOR = 20  # epochs that take this many times the median are no epochs any more
EXIT_SECONDS = 5.0
TAIL_BYTES = 4000


class ProcessRunner:
    """A slot with one worker process, started when first needed and again after it died.

    Args:
        data: file of `recsys.prepared.save_holdout`.
        device: torch device name, e.g. "cpu", "cuda:0".
        threads: torch threads of the worker.
    """

    name = "process"

    def __init__(self, data: Path, device: str = "cpu", threads: int = 1) -> None:
        self.threads, self.device = threads, device
        self._command = [
            *(sys.executable, "-m", "hpo.worker"),
            *("--data", str(data), "--device", device, "--threads", str(threads)),
        ]
        self._worker: _Worker | None = None
        self._task = 0
        self._epoch_seconds: list[float] = []

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
            while (message := self._next(worker)) and "epoch" in message:
                result = _epoch_result(message["epoch"])
                self._epoch_seconds.append(result.seconds)
                yield result
            running = False
            _raise_failure(message)
        except GeneratorExit:
            worker.send({"stop": self._task})
            raise
        except WorkerDied:
            self.close()
            raise
        finally:
            if running and self._worker is worker:
                self._drain(worker)

    def _drain(self, worker: _Worker) -> None:
        """Wait for the stopped training's last word, so that the worker is free again."""
        try:
            while "epoch" in self._next(worker):
                pass
        except WorkerDied:
            self.close()

    def _ready_worker(self) -> _Worker:
        if self._worker is None:
            self._worker = _Worker(self._command)
            try:
                while "ready" not in self._worker.receive(SILENCE_SECONDS):
                    pass
            except WorkerDied as error:
                was_killed = self._worker.was_killed
                self.close()
                if was_killed:  # from outside, or by the system for its memory
                    raise
                raise TrainingFailed("the worker cannot start", str(error)) from error
        return self._worker

    def _next(self, worker: _Worker) -> dict[str, Any]:
        """The next message of the current task."""
        deadline = float("inf")
        if len(self._epoch_seconds) >= 3:
            usual = STALL_FACTOR * statistics.median(self._epoch_seconds[-100:])
            deadline = time.monotonic() + max(SILENCE_SECONDS, usual)
        while True:
            message = worker.receive(SILENCE_SECONDS)
            if message.get("task") == self._task:
                return message
            if time.monotonic() > deadline:
                worker.kill()
                raise WorkerDied("the worker was stalled: no epoch for 20 times the usual, killed")

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


class _Worker:
    """The process and its pipes. A thread reads, so that waiting can end."""

    def __init__(self, command: list[str]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env={
                "OMP_WAIT_POLICY": "passive",  # as recsys.cli has it
                **os.environ,
                "PYTHONPATH": _import_path(),
                "OMP_NUM_THREADS": command[-1],
            },
        )
        self.pid = self._process.pid
        self._write_lock = threading.Lock()
        self._messages: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._messages.put(line)
        self._messages.put(None)

    def send(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            with self._write_lock:
                self._process.stdin.write(json.dumps(command) + "\n")
                self._process.stdin.flush()
        except (OSError, ValueError):
            # it died between two messages, or was closed; receive() says so, and why
            return

    def receive(self, timeout: float) -> dict[str, Any]:
        """The next message.

        Raises:
            WorkerDied: the process ended, or said nothing for `timeout` seconds (then killed).
        """
        try:
            line = self._messages.get(timeout=timeout)
        except queue.Empty:
            self.kill()
            raise WorkerDied(f"the worker was silent for {timeout:.0f} s, killed") from None
        if line is None:
            code = self._process.wait()
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            tail = self._error_tail()
            raise WorkerDied(f"the worker process died ({how})" + (f": {tail}" if tail else ""))
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:  # it died in the middle of a line
            self.kill()
            raise WorkerDied(f"the worker broke off: {line[:80]!r}") from None
        return message

    def _error_tail(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - TAIL_BYTES))
        return self._errors.read().decode(errors="replace").strip()

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it (POSIX; Windows knows exit codes only)."""
        return (self._process.poll() or 0) < 0

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Close stdin, which ends the worker; kill it if that takes too long."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            self._process.kill()  # a broken pipe: it is dead or dying
        try:
            self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


def _import_path() -> str:
    """Where the worker finds these packages, also when started from another folder."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))


def _epoch_result(values: dict[str, Any]) -> EpochResult:
    return EpochResult(**{**values, "metrics": Metrics(**values["metrics"])})


def _raise_failure(message: dict[str, Any]) -> None:
    if message["end"] == "done":
        return
    if message["end"] == "parked":
        raise Parked
    raise from_message(message)
