"""A training as messages, and messages as a training: the same words in every engine.

    {"began": true}   {"epoch": {...}}
    {"end": "done" | "parked" | "diverged" | "out-of-memory" | "error", ...}

The last message of a failure is that of `hpo.runners.failures`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from hpo.errors import Parked
from hpo.runners.base import go_on
from hpo.runners.failures import failure_of, from_message, to_message
from hpo.trainables import new_training
from recsys.data import Holdout
from recsys.evaluation import MetricName, Metrics
from recsys.training import EpochResult, forget_peaks, release_memory


class Wish(StrEnum):
    """A launcher's wish while a training runs."""

    GO_ON = "go on"
    STOP = "stop"
    PARK = "park"


def training_messages(
    holdout: Holdout,
    config: Mapping[str, Any],
    device: torch.device,
    metrics: tuple[MetricName, Sequence[int]],
    snapshot: Path | None,
    wish: Callable[[], Wish],
    trainable: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Train and yield the messages; afterwards the memory on a GPU is free for other processes.

    Args:
        holdout: history to train on and relevant items to score with.
        config: values of all hyperparameters.
        device: device of the training.
        metrics: the metric that decides which epoch is best, and cut-offs of further rankings.
        snapshot: file to resume from, if it exists, and to park in; None: neither.
        wish: returns the launcher's wish; called after each epoch.
        trainable: the model to train, see `StudyConfig.trainable`.
    """
    try:
        try:
            end = yield from _trained(holdout, config, device, metrics, snapshot, wish, trainable)
        except Exception as error:
            end = to_message(failure_of(error))
    finally:
        release_memory(device)  # after the training's frame is gone, and its tensors with it
    yield end


def _trained(
    holdout: Holdout,
    config: Mapping[str, Any],
    device: torch.device,
    metrics: tuple[MetricName, Sequence[int]],
    snapshot: Path | None,
    wish: Callable[[], Wish],
    trainable: str | None,
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Train and yield the messages but the last, which is returned."""
    forget_peaks(device)
    fit = new_training(trainable, holdout, config, device, metrics)
    go_on(fit, snapshot)
    yield {"began": True}
    for result in fit:
        yield {"epoch": dataclasses.asdict(result)}
        asked = wish()
        if asked is Wish.STOP:
            break
        if snapshot and asked is Wish.PARK:
            fit.save(snapshot)
            return {"end": "parked"}
    return {"end": "done"}


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
