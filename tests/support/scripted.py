"""Small real parts for tests of the study engine: a runner that follows a script, a study."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from hpo.config.study_config import StudyConfig
from hpo.errors import Parked, WorkerDied
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment
from hpo.study.lifecycle import open_study
from hpo.study.records import Outcome, StudyRecord, new_uid
from hpo.study.storage import open_storage
from recsys.config import TrainConfig
from recsys.evaluation.metrics import Metrics
from recsys.training.epoch import EpochResult

Script = Callable[[TrainConfig], Iterable[float | Exception]]

SPACE = {
    "dim": {"low": 4, "high": 64, "log": True},
    "lr": {"low": 1e-3, "high": 1e-1, "log": True},
    "epochs": {"low": 2, "high": 8},
}


def study_config(**values: Any) -> StudyConfig:
    """A small study; keys as in a study file."""
    base = {"dim": 8, "lr": 0.01, "epochs": 4}
    return StudyConfig.model_validate(
        {"name": "small", "data": "demo", "base": base, "space": SPACE, "n_trials": 6} | values
    )


def study_record(config: StudyConfig, fingerprint: str = "data-1") -> StudyRecord:
    return StudyRecord(
        uid=new_uid(),
        config=config,
        data_name="demo",
        split_fingerprint=fingerprint,
        counts={"n_users": 3, "n_items": 5, "n_train": 20, "n_validation": 5, "n_test": 6},
        baselines={"popularity": {"recall_at_10": 0.05}},
        environment={"python": "3.11"},
    )


def make_study(folder: Path, config: StudyConfig) -> optuna.Study:
    """A real SQLite study as hpo.run makes it."""
    storage = open_storage(f"sqlite:///{(folder / 'optuna.db').as_posix()}")
    study, _ = open_study(storage, config.name or "small", study_record(config))
    return study


def completed(ledger: Ledger, value: float) -> Assignment:
    """Start a trial, let it end COMPLETE after one epoch with this value, and return it."""
    assignment = ledger.start("scripted", 1)
    ledger.report(assignment, epoch_result(1, value))
    ledger.complete(assignment)
    return assignment


def make_ledger(folder: Path, config: StudyConfig) -> Ledger:
    return Ledger(make_study(folder, config), config)


def states(folder: Path) -> Counter[str]:
    """The states of the trials of the small study in a folder."""
    return Counter(trial.state.name for trial in make_study(folder, study_config()).trials)


def epoch_result(epoch: int, value: float) -> EpochResult:
    metrics = Metrics(value / 2, value, value, value, value, value, value, n_users=10)
    return EpochResult(epoch, 1 / epoch, metrics, seconds=0.5)


def saturating(config: TrainConfig) -> list[float]:
    """A plausible curve without training; best where dim is large."""
    top = config.dim / (config.dim + 10)
    return [top * (1 - 0.5**epoch) for epoch in range(1, config.epochs + 1)]


class ScriptedRunner:
    """Yields the values of `script(config)` as epochs; raises what it finds among them."""

    name = "scripted"
    threads = 1
    device = "cpu"
    processor = node = ""

    def __init__(self, script: Script = saturating, set_up_seconds: float = 0.0) -> None:
        self._script, self._set_up_seconds = script, set_up_seconds
        self.trained: list[TrainConfig] = []
        self.was_killed = threading.Event()
        self.parking = False
        self.began: float | None = None

    def is_ready(self) -> bool:
        return True

    def epochs(self, config: TrainConfig, snapshot: Path | None = None) -> Generator[EpochResult]:
        self.trained.append(config)
        self.parking = False
        if self._set_up_seconds and self.was_killed.wait(self._set_up_seconds):
            raise WorkerDied("killed while it set up")
        self.began = time.monotonic()
        try:
            for epoch, value in enumerate(self._script(config), 1):
                if isinstance(value, Exception):
                    raise value
                yield epoch_result(epoch, value)
                if snapshot and self.parking:
                    raise Parked
        finally:
            self.began = None

    def park(self) -> None:
        self.parking = True

    def kill(self) -> None:
        self.was_killed.set()

    @property
    def killed(self) -> bool:
        return self.was_killed.is_set()

    def close(self) -> None:
        pass


class MemoryProgress:
    """Remembers what it was told."""

    def __init__(self, on_epoch: Callable[[Assignment], None] | None = None) -> None:
        self.ends: list[tuple[int, TrialState, Outcome]] = []
        self.notes: list[str] = []
        self._on_epoch = on_epoch

    def started(self, assignment: Assignment) -> None:
        pass

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        if self._on_epoch:
            self._on_epoch(assignment)

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        self.ends.append((assignment.number, state, outcome))

    def note(self, message: str) -> None:
        self.notes.append(message)
