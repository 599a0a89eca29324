"""The time limit of a trial kills endless epochs, once, and nothing else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hpo.execution.objective import Objective, Stop
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from recsys.config import TrainConfig
from recsys.training.epoch import EpochResult
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    make_ledger,
    saturating,
    study_config,
)

LONG_AGO = -1e6  # a training that began then is over any limit


class CountingRunner(ScriptedRunner):
    kills = 0

    def kill(self) -> None:
        self.kills += 1


class NextTraining(CountingRunner):
    """Its training ends while the clock is looked at, and the next one begins."""

    def __init__(self) -> None:
        super().__init__()
        self.moments = [LONG_AGO, LONG_AGO + 1]

    @property
    def began(self) -> float | None:
        return self.moments.pop(0)

    @began.setter
    def began(self, _: float | None) -> None:
        pass


def looking(folder: Path, runner: ScriptedRunner) -> tuple[Scheduler, Assignment]:
    """A scheduler with one trial that trains."""
    ledger = make_ledger(folder, study_config())
    scheduler = Scheduler(ledger, [runner], MemoryProgress(), 6, trial_seconds=1.0)
    assignment = ledger.start("scripted", 1)
    scheduler._live[runner] = assignment
    return scheduler, assignment


def look(scheduler: Scheduler) -> None:
    scheduler._look_at_clock(float("inf"))


def test_an_endless_epoch_is_killed_once(tmp_path: Path) -> None:
    runner = CountingRunner()
    scheduler, assignment = looking(tmp_path, runner)
    look(scheduler)
    assert not assignment.overdue, "it is being set up"
    runner.began = LONG_AGO
    look(scheduler)
    look(scheduler)
    assert assignment.overdue
    assert runner.kills == 1


def test_a_trial_that_waits_for_the_storage_is_not_overdue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CountingRunner()
    scheduler, assignment = looking(tmp_path, runner)
    ledger = scheduler._ledger

    def wait(_: Assignment, result: EpochResult) -> bool:
        runner.began = LONG_AGO
        look(scheduler)
        assert runner.kills == 0, f"epoch {result.epoch} was stored meanwhile"
        runner.began = None
        return True

    monkeypatch.setattr(ledger, "report", wait)
    Objective(ledger, lambda *_: None, lambda: Stop.NO, 1.0)(assignment, runner)
    assert assignment.storing_since is None


def test_the_time_of_an_outage_is_no_training(tmp_path: Path) -> None:
    runner = CountingRunner()
    scheduler, assignment = looking(tmp_path, runner)
    assignment.stored_seconds = 1e9  # an outage so long that nothing else counts
    runner.began = LONG_AGO
    look(scheduler)
    assert runner.kills == 0


def test_the_next_training_is_not_killed_for_the_last_one(tmp_path: Path) -> None:
    runner = NextTraining()
    scheduler, assignment = looking(tmp_path, runner)
    look(scheduler)
    assert (runner.kills, assignment.overdue) == (0, False)


class Deaf(threading.Condition):
    """A condition whose notices all get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.set()
        return super().wait(timeout)

    def notify_all(self) -> None:
        pass


@pytest.mark.parametrize("how", ["complete", "interrupted"])
def test_a_slot_that_misses_a_notice_ends_all_the_same(tmp_path: Path, how: str) -> None:
    deaf = Deaf()

    def script(config: TrainConfig) -> list[float]:
        assert deaf.waited.wait(60), "the other slot waits"
        if how == "interrupted":
            scheduler.park(how)
        return saturating(config)

    ledger = make_ledger(tmp_path, study_config(n_trials=1))
    runners = [ScriptedRunner(script), ScriptedRunner(script)]
    scheduler = Scheduler(ledger, runners, MemoryProgress(), 1)
    scheduler._changed = deaf
    ended = scheduler.run()
    assert ended == RunEnd("complete", 1, "" if how == "complete" else how)
