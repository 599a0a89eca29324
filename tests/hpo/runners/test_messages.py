"""The epochs that a launcher compares with, to see a worker that is stalled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hpo.runners import watchdog
from hpo.runners.base import TrainingSetup
from hpo.runners.messages import EpochStream, Wish, epoch_of, training_messages
from tests.support.examples import conveyor_split
from tests.support.own_model import PopularConfig

HOLDOUT, CPU = conveyor_split().tuning, torch.device("cpu")
STALLED = "no epoch for 20 times the usual"


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds pass."""
    now = [0.0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return wait


def messages_of(snapshot: Path | None) -> list[dict[str, Any]]:
    """All messages of a training of an own model."""
    setup = TrainingSetup(HOLDOUT, CPU, ("mrr", ()), "tests.support.own_model:Resuming")
    config = PopularConfig(epochs=4).as_dict()
    return list(training_messages(setup, config, snapshot, lambda: Wish.GO_ON))


def taking(seconds: float, message: dict[str, Any]) -> dict[str, Any]:
    """The message of an epoch that takes so long."""
    return {"epoch": asdict(replace(epoch_of(message), seconds=seconds))}


def complaint_after(
    messages: list[dict[str, Any]], seconds: float, wait: Callable[[float], None]
) -> str | None:
    """Return the error if nothing but CPU time comes after these messages."""
    stream, waiting = EpochStream(), iter(messages)

    def trained() -> Iterator[Any]:
        yield from stream.results(lambda: next(waiting))

    epochs = trained()
    for _ in messages[1:]:
        next(epochs)
    limit = stream.stall_limit()
    limit.complaint(0.0)
    wait(seconds)
    return limit.complaint(1000.0)


def test_epochs_told_again_in_no_time_are_not_the_usual(
    tmp_path: Path, passed: Callable[[float], None]
) -> None:
    snapshot = tmp_path / "trial-0"
    snapshot.write_text("3")
    began, *epochs, _ = messages_of(snapshot)
    assert complaint_after([began, *epochs[:3]], 1000.0, passed) is None
    slow = [taking(10.0, message) for message in epochs]
    assert complaint_after([began, *epochs, *slow[:1]], 1000.0, passed) is None
    assert complaint_after([began, *epochs, *slow[:3]], 199.0, passed) is None
    assert complaint_after([began, *epochs, *slow[:3]], 201.0, passed) == STALLED


def test_quick_epochs_of_a_training_that_was_not_parked_are_the_usual(
    tmp_path: Path, passed: Callable[[float], None]
) -> None:
    began, *epochs, _ = messages_of(tmp_path / "missing")
    assert complaint_after([began, *epochs[:3]], 59.0, passed) is None
    assert complaint_after([began, *epochs[:3]], 61.0, passed) == STALLED
