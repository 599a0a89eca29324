"""No configuration is trained twice, nor by two workers at the same time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.errors import WorkerDied
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.study.records import Outcome, epochs_of
from recsys.config import TrainConfig
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    make_ledger,
    make_study,
    saturating,
    study_config,
)

FOUR = {"dim": {"choices": [8, 16]}, "epochs": {"choices": [3, 4]}}  # configs


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_a_config_is_not_trained_twice(tmp_path: Path, slots: int) -> None:
    """Nor at the same time: whoever comes second waits for the first."""
    config = study_config(space=FOUR, n_trials=12, pruner={"name": "none"})

    def script(config: TrainConfig) -> Iterator[float]:
        for value in saturating(config):
            yield value
            threading.Event().wait(0.05 if slots > 1 else 0.0)

    runners, progress = [ScriptedRunner(script) for _ in range(slots)], MemoryProgress()
    ended = Scheduler(make_ledger(tmp_path, config), runners, progress, 12).run()
    assert ended == RunEnd("complete", 12)
    trained = [config for runner in runners for config in runner.trained]
    assert len(trained) == len({config.replace(seed=0) for config in trained}) <= 4
    trials = make_study(tmp_path, config).trials
    again = [(t, o) for t in trials if (o := Outcome.of(t)) and o.same_as is not None]
    assert len(again) == 12 - len(trained)
    for trial, outcome in again:
        assert outcome.same_as is not None
        assert (outcome.seconds, outcome.usage) == (0.0, {}), "it cost nothing"
        source = trials[outcome.same_as]
        assert (trial.params, trial.value) == (source.params, source.value)
        assert trial.intermediate_values == source.intermediate_values
        assert epochs_of(trial)["recall_at_10"] == epochs_of(source)["recall_at_10"]


def test_who_waits_for_a_config_trains_it_if_the_first_one_fails(tmp_path: Path) -> None:
    space = {"dim": {"choices": [8, 16]}}
    config = study_config(space=space, n_trials=6, pruner={"name": "none"})
    failures = iter([WorkerDied("gone")] * 3)
    failed = threading.Lock()

    def script(config: TrainConfig) -> Iterator[float | Exception]:
        yield 0.1
        threading.Event().wait(0.2)
        with failed:
            failure = next(failures, None)
        yield from [failure] if failure else saturating(config)

    runners = [ScriptedRunner(script) for _ in range(3)]
    ended = Scheduler(make_ledger(tmp_path, config), runners, MemoryProgress(), 6).run()
    assert ended == RunEnd("complete", 6)
    found = Counter(trial.state.name for trial in make_study(tmp_path, config).trials)
    assert found == Counter(COMPLETE=6, FAIL=3)
    assert sum(len(runner.trained) for runner in runners) == 2 + 3


@pytest.mark.parametrize(("how", "left"), [("park", "WAITING"), ("abort", "FAIL")])
def test_who_waits_for_a_config_hears_that_the_study_stops(
    tmp_path: Path, how: str, left: str
) -> None:
    config = study_config(space=FOUR, n_trials=2, pruner={"name": "none"})
    make_study(tmp_path, config).enqueue_trial({"dim": 8, "epochs": 4})  # as trial 0, the default
    scheduler: Scheduler
    both, stopped = threading.Barrier(2), threading.Event()

    class Both(MemoryProgress):
        def started(self, assignment: Assignment) -> None:
            if assignment.number == 1:
                both.wait(60)

    def script(config: TrainConfig) -> Iterator[float]:
        yield 0.1
        both.wait(60)  # the other trial has begun, too
        getattr(scheduler, how)("interrupted")
        stopped.set()
        yield from saturating(config)

    ledger = Ledger(make_study(tmp_path, config), config, tmp_path / "parked")
    runners = [ScriptedRunner(script) for _ in range(2)]
    scheduler = Scheduler(ledger, runners, Both(), config.n_trials)
    assert scheduler.run() == RunEnd("interrupted", 0)
    assert stopped.is_set()
    first, second = make_study(tmp_path, config).trials[:2]
    assert (first.state.name, second.state.name) == (left, left)
    assert not second.intermediate_values
    ledger = Ledger(make_study(tmp_path, config), config, tmp_path / "parked")
    # a parked training that tells other epochs than before would start anew
    runner = ScriptedRunner(lambda config: [0.1, *saturating(config)])
    assert Scheduler(ledger, [runner], MemoryProgress(), 2).run() == RunEnd("complete", 2)
    assert len(runner.trained) == 1
