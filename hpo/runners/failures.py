"""Failures of a training: one exception in every engine, and its form as a message of a worker."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from hpo.errors import TrainingFailed
from recsys.errors import DivergedError
from recsys.training import is_out_of_memory

Failure = DivergedError | MemoryError | TrainingFailed
"""The exceptions that `Runner.epochs` may raise for a fault of the training itself."""


def failure_of(error: Exception) -> Failure:
    """Map any training exception to one the Runner contract allows; those pass unchanged."""
    if isinstance(error, Failure):
        return error
    message = f"{type(error).__name__}: {error}"
    if is_out_of_memory(error):
        return MemoryError(message)
    return TrainingFailed(message, "".join(traceback.format_exception(error)))


def to_message(failure: Failure) -> dict[str, Any]:
    """Return the last message of a failed training, see `hpo.runners.worker`."""
    match failure:
        case DivergedError():
            # a model may raise it with a number of NumPy, which JSON does not know
            at = [int(failure.epoch), int(failure.step), float(failure.loss)]
            return {"end": "diverged", "at": at}
        case MemoryError():
            return {"end": "out-of-memory", "message": str(failure) or "out of memory"}
    return {"end": "error", "message": str(failure), "traceback": failure.traceback}


def from_message(message: Mapping[str, Any]) -> Failure:
    """Return the failure in a message of `to_message`."""
    match message["end"]:
        case "diverged":
            return DivergedError(*message["at"])
        case "out-of-memory":
            return MemoryError(message["message"])
    return TrainingFailed(message["message"], message["traceback"])
