"""A training as messages, and messages as a training: the same words in every engine.

    {"began": true, "repeats": true if epochs of a parked training may come again}
    {"epoch": {...}}
    {"end": "done" | "parked" | "diverged" | "out-of-memory" | "error", ...}

The last message of a failure is that of `hpo.runners.failures`.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from hpo.errors import Parked
from hpo.runners.base import TrainingSetup
from hpo.runners.failures import failure_of, from_message, to_message
from hpo.runners.watchdog import USUAL_EPOCHS, StallLimit, is_quick
from recsys.evaluation import Metrics
from recsys.training import EpochResult, forget_peaks, release_memory


class Wish(StrEnum):
    """A launcher's wish while a training runs."""

    GO_ON = "go on"
    STOP = "stop"
    PARK = "park"


def training_messages(
    setup: TrainingSetup,
    config: Mapping[str, Any],
    snapshot: Path | None,
    wish: Callable[[], Wish],
) -> Iterator[dict[str, Any]]:
    """Train and yield the messages; afterwards the memory on a GPU is free for other processes.

    Args:
        setup: data, device, metrics and model.
        config: values of all hyperparameters.
        snapshot: file to resume from, if it exists, and to park in; None: neither.
        wish: returns the launcher's wish; called after each epoch.
    """
    try:
        try:
            end = yield from _trained(setup, config, snapshot, wish)
        except Exception as error:
            end = to_message(failure_of(error))
    finally:
        release_memory(setup.device)  # after the training's frame is gone, and its tensors with it
    yield end


def _trained(
    setup: TrainingSetup,
    config: Mapping[str, Any],
    snapshot: Path | None,
    wish: Callable[[], Wish],
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Train and yield the messages but the last, which is returned."""
    forget_peaks(setup.device)
    fit = setup.begin(config, snapshot)
    yield {"began": True, "repeats": setup.repeats_quickly(snapshot)}
    for result in fit:
        yield {"epoch": dataclasses.asdict(result)}
        asked = wish()
        if asked is Wish.STOP:
            break
        if snapshot and asked is Wish.PARK:
            fit.save(snapshot)
            return {"end": "parked"}
    return {"end": "done"}


class EpochStream:
    """The epochs of one worker's trainings, out of its messages.

    Attributes:
        began: see `Runner`.
    """

    def __init__(self) -> None:
        self.began: float | None = None
        self._seconds: deque[float] = deque(maxlen=USUAL_EPOCHS)

    def stall_limit(self) -> StallLimit:
        """Return the limits of waiting for the next message, which begins now."""
        return StallLimit(list(self._seconds) if self.began is not None else [])

    def results(
        self, receive: Callable[[], dict[str, Any]]
    ) -> Generator[EpochResult, None, dict[str, Any]]:
        """Yield the epochs of a training and return its last message.

        Args:
            receive: waits for the next message of the training and returns it.
        """
        repeats = False
        while "end" not in (message := receive()):
            if "began" in message:
                self.began = time.monotonic()
                self._seconds.clear()  # another configuration may take a hundred times as long
                repeats = message.get("repeats", False)
                continue
            result = epoch_of(message)
            if not (repeats := repeats and is_quick(result.seconds)):
                self._seconds.append(result.seconds)
            yield result
        return message


def epoch_of(message: Mapping[str, Any]) -> EpochResult:
    """Return the epoch in a message."""
    values = message["epoch"]
    return EpochResult(**{**values, "metrics": Metrics(**values["metrics"])})


def raise_failure(message: Mapping[str, Any]) -> None:
    """Raise the exception that the last message of a training stands for; none if it is done.

    Raises:
        Parked: the training was saved.
        DivergedError: the loss is not finite.
        MemoryError: the config does not fit.
        TrainingFailed: the training raised any other error.
    """
    if message["end"] == "done":
        return
    if message["end"] == "parked":
        raise Parked
    raise from_message(message)
