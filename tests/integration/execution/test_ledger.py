"""The ledger: exact states, records before states, lost trials found again."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import Trial, TrialState

from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment
from hpo.execution.store.owned_storage import EpochWrite, OwnedStorage
from hpo.study.records import Attempt, Outcome, epochs_of
from tests.support.scripted import epoch_result, make_study, study_config


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Ledger, Path]:
    config = study_config(pruner={"name": "none"})
    return Ledger(make_study(tmp_path, config), config), tmp_path


def trials(folder: Path) -> list:
    return make_study(folder, study_config()).trials


def report(ledger: Ledger, assignment: Assignment, *values: float) -> None:
    for epoch, value in enumerate(values, 1):
        ledger.report(assignment, epoch_result(epoch, value))


def test_a_complete_trial_is_worth_its_best_epoch(opened: tuple[Ledger, Path]) -> None:
    ledger, folder = opened
    assignment = ledger.start("scripted", 2)
    report(ledger, assignment, 0.1, 0.3, 0.2)
    ledger.complete(assignment)
    (trial,) = trials(folder)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.3)
    assert trial.intermediate_values == {1: 0.1, 2: 0.3, 3: 0.2}
    assert Outcome.of(trial) == Outcome(best_epoch=2, seconds=1.5)
    assert Attempt.of(trial) == Attempt(1, 0, assignment.config.seed, 2, "scripted")
    columns = epochs_of(trial)
    assert columns["epoch"] == [1, 2, 3]
    assert columns["recall_at_10"] == [0.1, 0.3, 0.2]
    assert columns["train_loss"] == [1, 1 / 2, 1 / 3]
    assert sorted(columns["time_ms"]) == columns["time_ms"]
    assert ledger.n_finished() == 1
    assert ledger.best() is not None


@pytest.mark.parametrize(("later_ms", "off_ms"), [(40, 0), (3_600_040, 3_600_000)])
def test_a_start_is_a_moment_and_no_local_time(
    opened: tuple[Ledger, Path], monkeypatch: pytest.MonkeyPatch, later_ms: int, off_ms: int
) -> None:
    """It is Optuna's to the millisecond, but for the hour that comes twice after summer time."""
    ledger, folder = opened
    ask = ledger.study.ask

    def asked() -> Trial:
        trial = ask()
        assert trial.datetime_start is not None
        now = round(trial.datetime_start.timestamp() * 1000) + later_ms
        monkeypatch.setattr(time, "time_ns", lambda: now * 1_000_000)
        return trial

    monkeypatch.setattr(ledger.study, "ask", asked)
    ledger.start("scripted", 1)
    (trial,) = trials(folder)
    attempt = Attempt.of(trial)
    assert attempt is not None and trial.datetime_start is not None
    assert attempt.started_ms - off_ms == round(trial.datetime_start.timestamp() * 1000)


def test_a_trial_records_what_it_took(opened: tuple[Ledger, Path]) -> None:
    ledger, folder = opened
    assignment = ledger.start("scripted", 1)
    for epoch, memory in enumerate((300.0, 500.0, 400.0), 1):
        took = replace(epoch_result(epoch, 0.1), cpu_seconds=2.0, memory_mb=memory)
        ledger.report(assignment, took)
    ledger.complete(assignment)
    (trial,) = trials(folder)
    outcome = Outcome.of(trial)
    assert outcome is not None
    assert {"cpu_seconds": 6.0, "peak_memory_mb": 500.0}.items() <= outcome.usage.items()
    assert 20 < outcome.usage["launcher_memory_mb"] < 100_000
    assert "peak_gpu_memory_mb" not in outcome.usage


def test_pruned_counts_and_failed_does_not(opened: tuple[Ledger, Path]) -> None:
    ledger, folder = opened
    first, second = ledger.start("scripted", 1), ledger.start("scripted", 1)
    report(ledger, first, 0.1)
    ledger.prune(first)
    ledger.fail(second, second.outcome("error", "it broke", "Traceback ..."))
    assert [trial.state.name for trial in trials(folder)] == ["PRUNED", "FAIL"]
    assert ledger.n_finished() == 1
    assert ledger.best() is None


def test_a_worker_that_died_is_tried_again_with_the_same_seed(opened: tuple[Ledger, Path]) -> None:
    ledger, folder = opened
    first = ledger.start("scripted", 1)
    for number in (2, 3):
        ledger.fail(first, first.outcome("worker-died", "gone"))
        ledger.requeue()
        ledger.requeue()
        assert len(trials(folder)) == number
        again = ledger.start("scripted", 1)
        assert again.config == first.config
        assert (again.attempt.number, again.attempt.origin) == (number, 0)
        first = again
    ledger.fail(first, first.outcome("worker-died", "gone"))
    ledger.requeue()
    assert len(trials(folder)) == 3, "three deaths are enough"


def test_a_config_that_was_queued_in_part_is_tried_again_whole(
    opened: tuple[Ledger, Path],
) -> None:
    ledger, _ = opened
    ledger.start("scripted", 1)  # the default configuration
    ledger.study.enqueue_trial({"dim": 11})
    first = ledger.start("scripted", 1)
    assert first.config.dim == 11
    ledger.fail(first, first.outcome("worker-died", "gone"))
    ledger.requeue()
    again = ledger.start("scripted", 1)
    assert (again.config, again.attempt.number) == (first.config, 2)


def test_interruptions_never_use_a_config_up(opened: tuple[Ledger, Path]) -> None:
    ledger, _ = opened
    first = ledger.start("scripted", 1)
    again = first
    for cause in ("interrupted", "launcher-died", "interrupted", "interrupted", "interrupted"):
        ledger.fail(again, again.outcome(cause, "stopped"))  # type: ignore[arg-type]
        ledger.requeue()
        again = ledger.start("scripted", 1)
        assert again.config == first.config


@pytest.mark.parametrize("cause", ["diverged", "time-limit", "error"])
def test_what_would_fail_again_is_not_tried_again(opened: tuple[Ledger, Path], cause: str) -> None:
    ledger, folder = opened
    first = ledger.start("scripted", 1)
    state, _ = ledger.fail(first, first.outcome(cause, "no"))  # type: ignore[arg-type]
    ledger.requeue()
    assert [trial.state for trial in trials(folder)] == [state]
    assert state is (TrialState.FAIL if cause == "error" else TrialState.PRUNED)


def test_what_does_not_fit_is_tried_once_more(opened: tuple[Ledger, Path]) -> None:
    ledger, folder = opened
    for expected in (TrialState.FAIL, TrialState.PRUNED):
        assignment = ledger.start("scripted", 1)
        assert assignment.attempt.origin == 0
        state, _ = ledger.fail(assignment, assignment.outcome("out-of-memory", "2 GB"))
        assert state is expected
        ledger.requeue()
    assert len(trials(folder)) == 2


def test_what_a_dead_launcher_left_runs_again(opened: tuple[Ledger, Path]) -> None:
    ledger, folder = opened
    lost = [ledger.start("scripted", 1), ledger.start("scripted", 1)]
    report(ledger, lost[0], 0.1, 0.2)
    config = study_config()
    survivor = Ledger(make_study(folder, config), config)
    assert survivor.recover() == 2
    assert survivor.recover() == 0
    states = [trial.state.name for trial in trials(folder)]
    assert states == ["FAIL", "FAIL", "WAITING", "WAITING"]
    for number in range(2):
        outcome = Outcome.of(trials(folder)[number])
        assert outcome is not None
        assert outcome.cause == "launcher-died"
    again = [survivor.start("scripted", 1) for _ in lost]
    assert {a.config for a in again} == {a.config for a in lost}


def test_a_launcher_killed_before_queueing_loses_nothing(opened: tuple[Ledger, Path]) -> None:
    ledger, folder = opened
    first = ledger.start("scripted", 1)
    ledger.fail(first, first.outcome("interrupted", "stopped"))
    config = study_config()
    assert Ledger(make_study(folder, config), config).recover() == 0
    assert [trial.state.name for trial in trials(folder)] == ["FAIL", "WAITING"]


def test_epochs_that_a_parked_trial_tells_again_are_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = study_config(pruner={"name": "none"})
    ledger = Ledger(make_study(tmp_path, config), config, tmp_path / "parked")
    parked = ledger.start("scripted", 1)
    report(ledger, parked, 0.1, 0.2)
    ledger.park(parked)
    told: list[int] = []

    def see(_: OwnedStorage, epochs: Sequence[EpochWrite]) -> Collection[int]:
        told.extend(epoch.step for epoch in epochs)
        return ()

    monkeypatch.setattr(OwnedStorage, "write_epochs", see)
    monkeypatch.setattr(ledger._rule, "is_hopeless", lambda number, values: True)
    again = ledger.start("scripted", 1)
    assert again.number == parked.number
    judged = [ledger.report(again, epoch_result(n, v)) for n, v in ((1, 0.1), (2, 0.2), (3, 0.3))]
    assert told == [3]
    assert judged == [False, False, True], "it was judged when its epochs were new"
