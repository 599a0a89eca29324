"""The scheduler parks, stops at a timeout, and ends when its storage or its study is gone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import IntegrityError

from hpo.errors import StudyStopped
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.runners.inline import InlineRunner
from hpo.study.records import Outcome, epochs_of
from recsys.config import TrainConfig
from recsys.training.epoch import EpochResult
from tests.support.examples import conveyor_split
from tests.support.mlflow_server import eventually
from tests.support.scheduled import run
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    make_ledger,
    make_study,
    saturating,
    states,
    study_config,
)


def test_parked_trials_go_on_where_they_were(tmp_path: Path) -> None:
    config = study_config()
    scheduler: Scheduler

    def stop(assignment: Assignment) -> None:
        if assignment.number == 2 and len(assignment.results) == 2:
            scheduler.park("interrupted")

    def script(config: TrainConfig) -> list[float]:
        return saturating(config.replace(epochs=6))

    ledger = Ledger(make_study(tmp_path, config), config, tmp_path / "parked")
    scheduler = Scheduler(ledger, [ScriptedRunner(script)], MemoryProgress(stop), config.n_trials)
    assert scheduler.run() == RunEnd("interrupted", 2)
    before = make_study(tmp_path, config).trials
    assert [trial.state.name for trial in before] == ["COMPLETE", "COMPLETE", "WAITING"]
    parked = before[2]
    assert list(parked.intermediate_values) == epochs_of(parked)["epoch"]
    progress = MemoryProgress()
    runner = ScriptedRunner(script)
    ledger = Ledger(make_study(tmp_path, config), config, tmp_path / "parked")
    assert Scheduler(ledger, [runner], progress, config.n_trials).run() == RunEnd("complete", 6)
    after = make_study(tmp_path, config).trials
    assert len(after) == 6, "nothing was started anew"
    assert after[2].params == parked.params
    assert list(after[2].intermediate_values) == [1, 2, 3, 4, 5, 6]
    n_before = len(parked.intermediate_values)
    times = epochs_of(after[2])["time_ms"]
    assert times[:n_before] == epochs_of(parked)["time_ms"]
    assert times == sorted(times)


def test_the_second_call_to_park_stops_at_once(tmp_path: Path) -> None:
    config = study_config()
    scheduler: Scheduler

    def stop(assignment: Assignment) -> None:
        if assignment.number == 1:
            scheduler.park("interrupted")

    ledger = Ledger(make_study(tmp_path, config), config)  # no place to park: a training goes on
    runner = ScriptedRunner(lambda _: [0.1, 0.2, 0.3, 0.4])
    scheduler = Scheduler(ledger, [runner], MemoryProgress(stop), config.n_trials)
    assert scheduler.run() == RunEnd("interrupted", 1)
    assert runner.killed
    assert states(tmp_path) == Counter(COMPLETE=1, FAIL=1, WAITING=1)


def test_after_the_timeout_no_trial_starts(tmp_path: Path) -> None:
    gate = threading.Event()

    def script(config: TrainConfig) -> list[float]:
        gate.wait(1.0)  # longer than the timeout; nobody opens the gate
        return saturating(config)

    ended = run(tmp_path, study_config(), script, timeout=0.1)
    assert ended == RunEnd("timeout", 1)
    assert set(states(tmp_path)) == {"COMPLETE"}


def test_the_timeout_parks_what_runs_and_the_next_run_goes_on(tmp_path: Path) -> None:
    config = study_config(n_trials=2, pruner={"name": "none"})

    def script(_: TrainConfig) -> Iterator[float]:
        for epoch in range(1, 101):
            time.sleep(0 if quick else 0.05)
            yield 0.001 * epoch

    quick, progress, slots = False, MemoryProgress(), 2
    ledger = Ledger(make_study(tmp_path, config), config, tmp_path / "parked")
    runners = [ScriptedRunner(script) for _ in range(slots)]
    assert Scheduler(ledger, runners, progress, 2, timeout=2.5).run() == RunEnd("timeout", 0)
    before = make_study(tmp_path, config).trials
    assert [trial.state.name for trial in before] == ["WAITING"] * slots
    assert all(1 <= len(trial.intermediate_values) < 100 for trial in before)
    assert progress.notes == ["the time limit of 2.5 s is reached; parking the running trials"]
    quick = True
    ledger = Ledger(make_study(tmp_path, config), config, tmp_path / "parked")
    again = Scheduler(ledger, [ScriptedRunner(script)], MemoryProgress(), 2)
    assert again.run() == RunEnd("complete", 2)
    after = make_study(tmp_path, config).trials
    assert [trial.params for trial in after] == [trial.params for trial in before]
    assert [len(trial.intermediate_values) for trial in after] == [100] * slots


@pytest.mark.parametrize(("calls", "killed"), [(1, False), (2, True)])
def test_after_the_timeout_the_first_signal_parks_and_the_second_stops(
    tmp_path: Path, calls: int, killed: bool
) -> None:
    config = study_config(n_trials=2)
    scheduler: Scheduler

    def stop(assignment: Assignment) -> None:
        if len(assignment.results) == 1:
            eventually(lambda: bool(progress.notes))
            for _ in range(calls):
                scheduler.park("interrupted")

    progress = MemoryProgress(stop)
    runner = ScriptedRunner(lambda _: [0.1, 0.2, 0.3])
    ledger = Ledger(make_study(tmp_path, config), config, tmp_path / "parked")
    scheduler = Scheduler(ledger, [runner], progress, 2, timeout=0.1)
    assert scheduler.run() == RunEnd("interrupted", 0)
    assert runner.killed is killed
    assert states(tmp_path)["RUNNING"] == 0


def test_abort_leaves_nothing_running_and_the_rest_runs_later(tmp_path: Path) -> None:
    config = study_config()
    runner = ScriptedRunner()
    scheduler: Scheduler

    def stop(assignment: Assignment) -> None:
        if assignment.number == 2:
            scheduler.abort("terminated")

    scheduler = Scheduler(
        make_ledger(tmp_path, config), [runner], MemoryProgress(stop), config.n_trials
    )
    assert scheduler.run() == RunEnd("terminated", 2)
    assert runner.killed
    trials = make_study(tmp_path, config).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "FAIL", "WAITING"]
    outcome = Outcome.of(trials[2])
    assert outcome is not None
    assert outcome.cause == "interrupted"
    assert run(tmp_path, config).n_finished == 6


@pytest.mark.parametrize("slots", [1, 2])
def test_a_study_that_is_deleted_while_it_runs(tmp_path: Path, slots: int) -> None:
    config = study_config()

    def delete(assignment: Assignment) -> None:
        if assignment.number == 2:
            study = make_study(tmp_path, config)
            study._storage.delete_study(study._study_id)

    with pytest.raises(StudyStopped, match="was deleted from its storage"):
        run(tmp_path, config, *[saturating] * slots, progress=MemoryProgress(delete))


class FailsOnce(MemoryProgress):
    """A study whose storage raises once, at an epoch of trial 1."""

    def __init__(self, error: Exception, before: Callable[[], None]) -> None:
        super().__init__()
        self._error, self._before = error, before

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        if assignment.number == 1:
            self._before()
            raise self._error


@pytest.mark.parametrize(
    "error",
    [
        StorageInternalError("An exception is raised during the commit."),
        IntegrityError("INSERT INTO trial_values", {}, Exception("foreign key")),
    ],
)
@pytest.mark.parametrize("deleted", [True, False])
def test_a_storage_that_fails_is_asked_whether_it_has_the_study(
    tmp_path: Path, error: Exception, deleted: bool
) -> None:
    """Optuna may say `expected to update 1 row(s)` of a trial that went with its study."""
    config = study_config()

    def delete() -> None:
        if deleted:
            study = make_study(tmp_path, config)
            study._storage.delete_study(study._study_id)

    told = "was deleted from its storage" if deleted else "storage failed: .*same command again"
    with pytest.raises(StudyStopped, match=told):
        run(tmp_path, config, saturating, progress=FailsOnce(error, delete))
    if not deleted:
        assert states(tmp_path) == Counter(COMPLETE=1, FAIL=1), "nothing stays RUNNING"
        make_ledger(tmp_path, config).recover()
        assert run(tmp_path, config, saturating) == RunEnd("complete", 6)


def test_values_do_not_depend_on_where_the_study_was_interrupted(tmp_path: Path) -> None:
    for name, stops in (("whole", [6]), ("parts", [2, 3, 6])):
        (tmp_path / name).mkdir()
        for n_trials in stops:
            run(tmp_path / name, study_config(n_trials=n_trials), saturating)
    tables = [
        [(t.params, t.value, t.state) for t in make_study(tmp_path / name, study_config()).trials]
        for name in ("whole", "parts")
    ]
    assert tables[0] == tables[1]


def test_a_disk_too_full_to_park_on_is_no_crash(tmp_path: Path) -> None:
    """The engine in this process, which has no worker's message between it and the study."""
    config = study_config()
    scheduler: Scheduler

    def stop(assignment: Assignment) -> None:
        if assignment.number == 1:
            scheduler.park("interrupted")

    (tmp_path / "parked").write_text("in the way")
    ledger = Ledger(make_study(tmp_path, config), config, tmp_path / "parked")
    runner = InlineRunner(conveyor_split().tuning, "recall_at_10", torch.device("cpu"))
    scheduler = Scheduler(ledger, [runner], MemoryProgress(stop), config.n_trials)
    assert scheduler.run() == RunEnd("interrupted", 1)
    trials = make_study(tmp_path, config).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "WAITING"]
    outcome = Outcome.of(trials[1])
    assert outcome is not None
    assert outcome.cause == "interrupted"
    assert "cannot be parked" in outcome.message


@pytest.mark.parametrize("reason", ["requested", "interrupted", "terminated"])
def test_a_study_that_becomes_complete_while_it_is_parked_says_both(
    tmp_path: Path, reason: str
) -> None:
    config = study_config()
    scheduler: Scheduler

    def stop(assignment: Assignment) -> None:
        if assignment.number == 5 and len(assignment.results) == 1:
            scheduler.park(reason)

    ledger = make_ledger(tmp_path, config)  # no place to park: the last training goes on
    scheduler = Scheduler(ledger, [ScriptedRunner()], MemoryProgress(stop), config.n_trials)
    ended = scheduler.run()
    assert ended == RunEnd("complete", 6, reason)
    assert ended.stop == reason
