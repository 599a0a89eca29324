"""The exact budget, retries by cause, early stops; with scripted runners, no training."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError

from hpo.config.study_config import StudyConfig
from hpo.errors import StudyStopped, TrainingFailed, WorkerDied
from hpo.execution import scheduler as scheduler_module
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.runners.inline import InlineRunner
from hpo.study.records import Outcome, epochs_of
from recsys.config import TrainConfig
from recsys.errors import DivergedError
from recsys.training.epoch import EpochResult
from tests.support.examples import conveyor_split
from tests.support.mlflow_server import eventually
from tests.support.scripted import (
    MemoryProgress,
    Script,
    ScriptedRunner,
    make_ledger,
    make_study,
    saturating,
    states,
    study_config,
)


def run(
    folder: Path,
    config: StudyConfig,
    *scripts: Script,
    progress: MemoryProgress | None = None,
    timeout: float | None = None,
) -> RunEnd:
    runners = [ScriptedRunner(script) for script in scripts or (saturating, saturating)]
    scheduler = Scheduler(
        make_ledger(folder, config),
        runners,
        progress or MemoryProgress(),
        config.n_trials,
        timeout,
        config.trial_seconds,
    )
    return scheduler.run()


@pytest.mark.parametrize("slots", [1, 2, 5, 9])
def test_the_study_ends_with_exactly_its_trials(tmp_path: Path, slots: int) -> None:
    assert run(tmp_path, study_config(), *[saturating] * slots) == RunEnd("complete", 6)
    counts = states(tmp_path)
    assert counts["COMPLETE"] + counts["PRUNED"] == 6
    assert sum(counts.values()) == 6


def test_more_trials_later_are_just_the_difference(tmp_path: Path) -> None:
    run(tmp_path, study_config())
    assert run(tmp_path, study_config(n_trials=9)) == RunEnd("complete", 9)
    assert run(tmp_path, study_config(n_trials=9)) == RunEnd("complete", 9)
    params = [tuple(t.params.items()) for t in make_study(tmp_path, study_config()).trials]
    assert len(set(params)) == 9


def test_hopeless_trials_are_pruned(tmp_path: Path) -> None:
    config = study_config(n_trials=20, pruner={"name": "median", "startup": 3, "warmup": 1})
    run(tmp_path, config, saturating)
    assert states(tmp_path)["PRUNED"] >= 3


def test_failures_that_are_tried_again_do_not_count(tmp_path: Path) -> None:
    failures = iter([WorkerDied("gone"), MemoryError()])

    def script(config: TrainConfig) -> list[float | Exception]:
        failure = next(failures, None)
        return [0.1, failure] if failure else list(saturating(config))

    progress = MemoryProgress()
    assert run(tmp_path, study_config(), script, progress=progress).n_finished == 6
    causes = [outcome.cause for _, state, outcome in progress.ends if state is TrialState.FAIL]
    assert causes == ["worker-died", "out-of-memory"]
    assert states(tmp_path)["FAIL"] == 2
    assert len({t.params["lr"] for t in make_study(tmp_path, study_config()).trials}) == 6


@pytest.mark.parametrize(
    ("error", "n_failed"), [(DivergedError(2, 1, float("nan")), 0), (MemoryError("2 GB"), 1)]
)
def test_a_bad_config_counts_and_the_sampler_learns_from_it(
    tmp_path: Path, error: Exception, n_failed: int
) -> None:
    def script(config: TrainConfig) -> list[float | Exception]:
        return [0.1, error] if config.dim == 8 else list(saturating(config))

    progress = MemoryProgress()
    assert run(tmp_path, study_config(), script, progress=progress) == RunEnd("complete", 6)
    trials = make_study(tmp_path, study_config()).trials
    assert [t.state.name for t in trials[: n_failed + 1]] == ["FAIL"] * n_failed + ["PRUNED"]
    assert trials[n_failed].value == 0.1
    outcome = Outcome.of(trials[n_failed])
    assert outcome is not None
    assert outcome.cause == ("out-of-memory" if n_failed else "diverged")
    assert states(tmp_path)["FAIL"] == n_failed


def test_a_trial_may_take_so_long_and_no_longer(tmp_path: Path) -> None:
    config = study_config(
        trial_seconds=1.2, pruner={"name": "none"}
    )  # a scripted epoch tells 0.5 s
    assert run(tmp_path, config) == RunEnd("complete", 6)
    for trial in make_study(tmp_path, config).trials:
        outcome = Outcome.of(trial)
        assert outcome is not None
        late = trial.params["epochs"] > 3
        assert outcome.cause == ("time-limit" if late else None)
        assert trial.state is (TrialState.PRUNED if late else TrialState.COMPLETE)
        assert len(trial.intermediate_values) <= 3


def test_setting_up_takes_nothing_of_a_trials_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "GRACE_SECONDS", 0.1)
    config = study_config(n_trials=2)
    runner = ScriptedRunner(lambda _: [0.1, 0.2], set_up_seconds=0.8)
    ended = Scheduler(
        make_ledger(tmp_path, config), [runner], MemoryProgress(), 2, trial_seconds=0.2
    ).run()
    assert ended == RunEnd("complete", 2)
    assert not runner.killed
    assert all(len(t.intermediate_values) > 0 for t in make_study(tmp_path, config).trials)


def test_an_epoch_that_does_not_end_is_killed_at_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "GRACE_SECONDS", 0.1)

    def script(_: TrainConfig) -> Iterator[float]:
        assert runner.was_killed.wait(20)
        raise WorkerDied("signal 9")
        yield

    runner = ScriptedRunner(script)
    config = study_config(n_trials=1)
    ended = Scheduler(
        make_ledger(tmp_path, config), [runner], MemoryProgress(), 1, trial_seconds=0.2
    ).run()
    assert ended == RunEnd("complete", 1)
    (trial,) = make_study(tmp_path, config).trials
    outcome = Outcome.of(trial)
    assert outcome is not None
    assert (trial.state, outcome.cause) == (TrialState.PRUNED, "time-limit")


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


def test_the_same_error_twice_stops_the_study(tmp_path: Path) -> None:
    def script(_: TrainConfig) -> list[float | Exception]:
        return [TrainingFailed("KeyError: 'x'", "Traceback: in line 7")]

    with pytest.raises(StudyStopped, match=r"(?s)same error twice.*KeyError.*line 7"):
        run(tmp_path, study_config(), script)
    assert states(tmp_path) == Counter(FAIL=2)


def test_endless_failures_of_any_kind_stop_the_study(tmp_path: Path) -> None:
    def script(_: TrainConfig) -> list[float | Exception]:
        return [DivergedError(1, 1, float("inf"))]

    with pytest.raises(StudyStopped, match="10 trials failed in a row.*diverged"):
        run(tmp_path, study_config(n_trials=50), script)


def test_a_bug_of_ours_in_a_slot_is_raised_and_ends_the_others(tmp_path: Path) -> None:
    def boom(_: Assignment) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(tmp_path, study_config(), progress=MemoryProgress(boom))


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


def test_a_trial_ended_from_outside_is_passed_over(tmp_path: Path) -> None:
    config = study_config()

    def fail_from_outside(assignment: Assignment) -> None:
        if assignment.number == 1:
            study = make_study(tmp_path, config)
            study.tell(1, state=TrialState.FAIL)
            study.enqueue_trial(assignment.trial.params)  # nobody trains it any more

    progress = MemoryProgress(fail_from_outside)
    assert run(tmp_path, config, saturating, progress=progress).n_finished == 6
    assert progress.notes == ["trial 1 was ended from outside; going on"]
    ends = {number: (state, outcome.message) for number, state, outcome in progress.ends}
    assert ends[1] == (TrialState.FAIL, "ended from outside")


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


def test_a_key_that_our_own_code_lacks_is_a_bug(tmp_path: Path) -> None:
    def stumble(_: Assignment) -> None:
        raise KeyError("dim")

    with pytest.raises(KeyError, match="dim"):
        run(tmp_path, study_config(), saturating, progress=MemoryProgress(stumble))


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
