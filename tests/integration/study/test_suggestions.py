"""Suggestions of the samplers: after a stop, to several workers, and in a widened range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from hpo.config.study_config import StudyConfig
from hpo.execution.ledger import Ledger
from hpo.search.samplers import make_sampler
from hpo.study.lifecycle import open_study
from hpo.study.storage import open_storage
from tests.support.scripted import (
    epoch_result,
    study_config,
    study_record,
)
from tests.support.storage_url import url

SAMPLERS = ["tpe", "gp", "cmaes", "qmc", "random"]


def suggestions(folder: Path, sampler: str, n: int, stops: tuple[int, ...] = ()) -> list:
    """Of a study whose program ended before these trials and was started again."""
    options = {} if sampler in ("qmc", "random") else {"startup": 3}
    config = study_config(sampler={"name": sampler, **options})
    space = {
        "x": optuna.distributions.FloatDistribution(0, 1),
        "y": optuna.distributions.FloatDistribution(0, 1),
    }
    drawn = []
    for number in range(n):
        if number == 0 or number in stops:
            study = optuna.create_study(
                study_name="s",
                storage=open_storage(url(folder)),
                direction="maximize",
                load_if_exists=True,
            )
        study.sampler = make_sampler(config, number)
        trial = study.ask(space)
        study.tell(trial, 1 - (trial.params["x"] - 0.3) ** 2 - (trial.params["y"] - 0.6) ** 2)
        drawn.append(tuple(trial.params.values()))
    return drawn


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_study_goes_on_as_if_it_had_not_stopped(tmp_path: Path, sampler: str) -> None:
    straight = suggestions(tmp_path / "a", sampler, 6)
    assert suggestions(tmp_path / "b", sampler, 6, stops=(2, 5)) == straight
    assert len(set(straight)) == 6, "a suggestion was repeated"


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_workers_that_start_at_once_get_different_suggestions(sampler: str) -> None:
    config = study_config(sampler={"name": sampler})
    study, drawn = optuna.create_study(), []
    for number in range(8):
        study.sampler = make_sampler(config, number)
        drawn.append(study.ask().suggest_float("x", 0, 1))
    assert len(set(drawn)) == 8


CONDITIONAL = {"window_share": {"low": 0.1, "high": 0.9, "when": {"cuts": {"low": 2}}},
               "cuts": {"choices": [1, 2]}}  # fmt: skip


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("sampler", "further"),
    [*((name, {}) for name in SAMPLERS), ("tpe", CONDITIONAL)],
)
def test_a_range_that_was_widened_is_searched(
    tmp_path: Path, sampler: str, further: dict[str, Any]
) -> None:
    def config(high: float) -> StudyConfig:
        options = {} if sampler in ("qmc", "random") else {"startup": 2}
        space = {"mix": {"low": 0.0, "high": high}, "epochs": {"low": 2, "high": 8}, **further}
        return study_config(space=space, sampler={"name": sampler, **options})

    storage = open_storage(url(tmp_path))
    study, _ = open_study(storage, "s", study_record(config(0.1)))
    run_trials(Ledger(study, config(0.1)), 6)
    study, _ = open_study(storage, "s", study_record(config(1.0)), accept_changes=True)
    run_trials(Ledger(study, config(1.0)), 12)
    drawn = [trial.params["mix"] for trial in study.trials[6:]]
    assert max(drawn) > 0.2


def run_trials(ledger: Ledger, n_trials: int) -> None:
    """Finish trials whose value grows with `mix`."""
    for _ in range(n_trials):
        assignment = ledger.start("scripted", 1)
        if not assignment.violation:
            ledger.report(assignment, epoch_result(1, assignment.config.mix / 10))
        ledger.complete(assignment)
