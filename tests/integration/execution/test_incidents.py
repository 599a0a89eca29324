"""Deaths of workers that have one cause count once; a bug that kills every worker still stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.errors import StudyStopped, WorkerDied
from hpo.execution import failure_policy as failures_module
from hpo.execution.failure_policy import FAILURES_IN_A_ROW, Failures
from hpo.execution.running_trial import RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.study.records import Outcome
from recsys.config import TrainConfig
from tests.support.scripted import (
    MemoryProgress,
    Script,
    ScriptedRunner,
    make_ledger,
    make_study,
    saturating,
    study_config,
)

DIED = Outcome(0, 0.0, "worker-died", "the node died")


def dies_once() -> Script:
    left = [WorkerDied("the node died")]

    def script(config: TrainConfig) -> list[float | Exception]:
        return [0.1, left.pop()] if left else list(saturating(config))

    return script


@pytest.mark.parametrize("slots", [4, 12, 64])
def test_a_node_that_dies_once_costs_no_trial(tmp_path: Path, slots: int) -> None:
    config = study_config(n_trials=2 * slots, sampler={"name": "random"})
    runners = [ScriptedRunner(dies_once()) for _ in range(slots)]
    ended = Scheduler(
        make_ledger(tmp_path, config), runners, MemoryProgress(), config.n_trials
    ).run()
    assert ended == RunEnd("complete", 2 * slots)
    states = Counter(trial.state.name for trial in make_study(tmp_path, config).trials)
    assert states["COMPLETE"] + states["PRUNED"] == 2 * slots
    died = sum(bool(runner.trained) for runner in runners)  # on a busy machine a slot may get none
    assert states["FAIL"] == died > slots // 2


def test_a_bug_that_kills_every_worker_stops_the_study(tmp_path: Path) -> None:
    def script(_: TrainConfig) -> list[float | Exception]:
        return [WorkerDied("signal 11")]

    slots = 4
    config = study_config(n_trials=1000, sampler={"name": "random"})
    runners = [ScriptedRunner(script) for _ in range(slots)]
    with pytest.raises(StudyStopped, match=r"in a row.*worker-died.*signal 11"):
        Scheduler(make_ledger(tmp_path, config), runners, MemoryProgress(), 1000).run()
    trials = make_study(tmp_path, config).trials
    assert sum(trial.state.name == "FAIL" for trial in trials) <= slots * (FAILURES_IN_A_ROW + 1)


@pytest.mark.parametrize(
    ("window", "slot"),
    [(90.0, lambda _: 0), (-1.0, lambda number: number)],
    ids=["one slot again and again", "far apart"],
)
def test_deaths_of_other_causes_count_each(
    monkeypatch: pytest.MonkeyPatch, window: float, slot: Callable[[int], int]
) -> None:
    monkeypatch.setattr(failures_module, "INCIDENT_SECONDS", window)
    failures = Failures()
    for number in range(FAILURES_IN_A_ROW - 1):
        failures.add(number, DIED, died=slot(number))
    with pytest.raises(StudyStopped, match="10 trials failed in a row"):
        failures.add(99, DIED, died=slot(99))


def test_other_failures_beside_an_incident_count_each() -> None:
    failures = Failures()
    for slot in range(40):
        failures.add(slot, DIED, died=slot)
    for number in range(FAILURES_IN_A_ROW - 2):
        failures.add(number, Outcome(0, 0.0, "diverged", "loss is nan"))
    with pytest.raises(StudyStopped, match="10 trials failed in a row"):
        failures.add(99, Outcome(0, 0.0, "diverged", "loss is nan"))
