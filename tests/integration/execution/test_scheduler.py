"""The exact budget, retries by cause, early stops; with scripted runners, no training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpo.errors import StudyStopped, TrainingFailed, WorkerDied
from hpo.execution import scheduler as scheduler_module
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.study.records import Outcome
from recsys.config import TrainConfig
from recsys.errors import DivergedError
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


def test_a_key_that_our_own_code_lacks_is_a_bug(tmp_path: Path) -> None:
    def stumble(_: Assignment) -> None:
        raise KeyError("dim")

    with pytest.raises(KeyError, match="dim"):
        run(tmp_path, study_config(), saturating, progress=MemoryProgress(stumble))
