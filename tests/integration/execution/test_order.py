"""With several workers the order of ends decides what is suggested; it is recorded, and enough."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hpo.config.search_space import SearchSpace
from hpo.config.study_config import StudyConfig
from hpo.execution.scheduler import Scheduler
from hpo.search.samplers import make_sampler
from hpo.study.records import Attempt, Outcome
from recsys.config import TrainConfig
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    make_ledger,
    make_study,
    saturating,
    study_config,
)

N_TRIALS = 24


def at_its_own_pace(config: TrainConfig) -> Iterator[float]:
    """So that trials overtake one another, differently in each run of this test."""
    pace = random.SystemRandom()
    for value in saturating(config):
        threading.Event().wait(pace.uniform(0, 0.01))
        yield value


def suggested_again(config: StudyConfig, trials: list[optuna.trial.FrozenTrial]) -> optuna.Study:
    """The same study by one hand: asked and told in the recorded order, with the stored results."""
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(trials[0].system_attrs["fixed_params"])
    space = SearchSpace(config)
    outcomes = {trial.number: Outcome.of(trial) for trial in trials}
    ends = sorted(trials, key=lambda trial: outcomes[trial.number].order)  # type: ignore[union-attr, arg-type, return-value]
    running: dict[int, optuna.Trial] = {}
    told = 0
    for number, stored in enumerate([*trials, None]):
        attempt = Attempt.of(stored) if stored else None
        upto = attempt.after if attempt and attempt.after is not None else len(trials)
        for trial in ends[told:upto]:
            for epoch, value in trial.intermediate_values.items():
                running[trial.number].report(value, epoch)
            value = trial.value if trial.state is TrialState.COMPLETE else None
            study.tell(running[trial.number], value, state=trial.state)
        told = upto
        if stored:
            study.sampler = make_sampler(config, number)
            running[number] = study.ask()
            space.suggest(running[number], 0)
    return study


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_the_recorded_order_gives_the_same_suggestions(tmp_path: Path, pruner: str) -> None:
    sampler = {"name": "tpe", "startup": 4}
    config = study_config(n_trials=N_TRIALS, pruner={"name": pruner}, sampler=sampler)
    study = make_study(tmp_path, config)
    runners = [ScriptedRunner(at_its_own_pace) for _ in range(4)]
    Scheduler(make_ledger(tmp_path, config), runners, MemoryProgress(), N_TRIALS).run()

    trials = study.get_trials()
    orders = [outcome.order for trial in trials if (outcome := Outcome.of(trial))]
    assert sorted(orders) == list(range(N_TRIALS))  # type: ignore[type-var]
    assert orders != sorted(orders)  # type: ignore[type-var]  # some were overtaken
    again = suggested_again(config, trials).get_trials()
    assert [trial.params for trial in again] == [trial.params for trial in trials]
    assert [(trial.state, trial.value) for trial in again] == [
        (trial.state, trial.value) for trial in trials
    ]
