"""The worker process, which trains. It imports recsys and torch; no optuna, no mlflow, no database.

    python -m hpo.runners.worker --data FILE --objective recall_at_10 --device cpu --threads 1

It exchanges JSON lines: tasks come in on stdin, epochs go out on stdout. It ends when stdin
closes, so a killed launcher leaves no worker behind.

    in   {"task": 7, "train": {config}, "snapshot": path or null}   {"stop": 7}   {"park": 7}
    out  {"ready": true}   {"alive": true, "cpu": seconds of all threads since it started}
         {"task": 7, "began": true, ...}   {"task": 7, "epoch": {...}}
         {"task": 7, "end": "done" | "parked" | "diverged" | "out-of-memory" | "error", ...}
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import psutil
import torch

from hpo.runners.base import TrainingSetup
from hpo.runners.messages import Wish, training_messages
from hpo.runners.watchdog import FamilyClock
from recsys.data import load_holdout

ALIVE_SECONDS = 5.0


class Channel:
    """The two pipes to the launcher.

    Args:
        commands: the lines from the launcher.
        results: the lines to the launcher.
    """

    def __init__(self, commands: Iterable[bytes], results: TextIO) -> None:
        self._commands, self._results = commands, results
        self._write_lock = threading.Lock()
        self._tasks: queue.Queue[dict[str, Any]] = queue.Queue()
        self._stopped: set[int] = set()
        self._parking: set[int] = set()

    def start(self) -> None:
        """Start threads that read commands and send heartbeats during a training."""
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()

    def _read(self) -> None:
        """Read commands until the launcher closes the pipe, then end the process."""
        for line in self._commands:
            command = json.loads(line)
            if "stop" in command:
                self._stopped.add(command["stop"])
            elif "park" in command:
                self._parking.add(command["park"])
            else:
                self._tasks.put(command)
        _kill_children()
        os._exit(0)  # the launcher is gone; the main thread may be deep in a matrix product

    def _beat(self) -> None:
        """Send a heartbeat every ALIVE_SECONDS."""
        clock = FamilyClock()
        while not threading.Event().wait(ALIVE_SECONDS):
            self.send(alive=True, cpu=clock.seconds())

    def send(self, **message: Any) -> None:
        """Write one message, from any thread."""
        with self._write_lock:
            self._results.write(json.dumps(message) + "\n")
            self._results.flush()

    def next_task(self) -> dict[str, Any]:
        """Wait for the next task and return it."""
        return self._tasks.get()

    def is_stopped(self, task: int) -> bool:
        """Return True if the launcher asked to stop this task."""
        return task in self._stopped

    def is_parking(self, task: int) -> bool:
        """Return True if the launcher asked to park this task."""
        return task in self._parking


def main() -> None:
    """Serve tasks until stdin closes."""
    options = _parse(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's, which sends commands
    _outlive_sigterm()
    channel = Channel(*_pipes())
    torch.set_num_threads(options.threads)
    channel.start()
    setup = TrainingSetup(
        load_holdout(options.data),
        torch.device(options.device),
        (options.objective, options.cutoffs),
        options.trainable,
    )
    channel.send(ready=True)
    while True:
        command = channel.next_task()
        end = serve_task(channel, command, setup)
        channel.send(task=command["task"], **end)


def _outlive_sigterm() -> None:
    """Take no notice of SIGTERM, which still ends the processes that a model starts.

    A service manager may send it to every process at once; it is for the launcher, which parks the
    trainings and then closes the pipe. An ignored signal would stay ignored in children, and
    multiprocessing ends those of a pool by it.
    """
    signal.signal(signal.SIGTERM, lambda *_: None)
    if sys.platform == "win32":  # which has no fork
        return
    block = partial(signal.pthread_sigmask, signal.SIG_BLOCK, {signal.SIGTERM})
    unblock = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, {signal.SIGTERM})

    def restore() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        unblock()

    # Meanwhile a signal for the new child waits, since our handler would swallow it there.
    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=restore)


def _pipes() -> tuple[BinaryIO, TextIO]:
    """Return the pipes to the launcher, of which the standard streams then know nothing.

    Programs that a model starts inherit neither, so a print of theirs, or of the model, does not
    break the protocol. A child made by a fork closes `sys.stdin`, and would wait for its lock for
    ever if a thread of this process were reading there.
    """
    commands = os.fdopen(os.dup(0), "rb", buffering=0)  # only what is buffered has a lock
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, results


def _kill_children() -> None:
    """Kill the processes that a model has started: without this one, they may wait for ever."""
    with suppress(psutil.Error, OSError):  # processes that may not be looked at
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it has just ended
                child.kill()


def serve_task(channel: Channel, command: dict[str, Any], setup: TrainingSetup) -> dict[str, Any]:
    """Train as a command asks and return the last message, without the task's number.

    Afterwards the training's memory on a GPU is free for other processes.

    Args:
        channel: pipes to the launcher.
        command: the task, see the module.
        setup: data, device, metrics and model.
    """
    task, place = command["task"], command.get("snapshot")

    def wish() -> Wish:
        if channel.is_stopped(task):
            return Wish.STOP
        return Wish.PARK if channel.is_parking(task) else Wish.GO_ON

    snapshot = Path(place) if place else None
    for message in training_messages(setup, command["train"], snapshot, wish):
        if "end" in message:
            return message
        channel.send(task=task, **message)
    raise AssertionError("a training ended without a last message")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hpo.runners.worker")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--objective", required=True)
    parser.add_argument("--trainable")
    parser.add_argument("--cutoffs", type=int, nargs="*", default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
