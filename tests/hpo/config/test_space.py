"""From a trial to a config and back."""

from __future__ import annotations

import re
from typing import Any

import optuna
import pytest
from hypothesis import given, settings, strategies as st

from hpo.config.search_space import SearchSpace
from hpo.search.samplers import derive_seed, make_sampler, say_random_draws
from tests.support.scripted import study_config

SPACE = {
    "dim": {"low": 4, "high": 64, "log": True},
    "window": {"low": 10, "high": 110, "step": 10},
    "lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "batch_size": {"choices": [32, 128]},
    "mix": {"choices": [0.0, 0.35]},
}


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_every_suggestion_is_valid_and_the_inverse_gives_it_back(seed: int) -> None:
    config = study_config(space=SPACE)
    space = SearchSpace(config)
    study = optuna.create_study(sampler=make_sampler(config, seed))
    trial = study.ask()
    drawn = space.suggest(trial, seed=3)
    assert 4 <= drawn.dim <= 64
    assert drawn.window % 10 == 0
    assert drawn.batch_size in (32, 128)
    assert (drawn.seed, drawn.epochs) == (3, 4)
    assert space.params(drawn) == trial.params
    assert space.config(trial.params, 3) == drawn


def test_queued_params_become_the_same_config() -> None:
    config = study_config(space=SPACE)
    space = SearchSpace(config)
    study = optuna.create_study()
    study.enqueue_trial(space.params(config.train_config))
    assert space.suggest(study.ask(), seed=0) == config.train_config


@pytest.mark.parametrize("params", [{"foo": 0.5}, {"dim": -1}, {"dim": 8, "foo": 1.0}])
def test_what_another_program_tried_is_not_the_default(params: dict[str, float]) -> None:
    space = SearchSpace(study_config(space=SPACE))
    assert space.known_config(params, 0) is None
    assert not space.is_default(params)


@pytest.mark.parametrize("sampler", [{"name": "random"}, {"name": "tpe", "startup": 1}])
@pytest.mark.parametrize("n_stored", range(len(SPACE)))
def test_a_start_that_broke_off_while_drawing_draws_the_rest_as_it_would_have(
    sampler: dict[str, Any], n_stored: int
) -> None:
    config = study_config(space=SPACE, sampler=sampler)
    space, params = SearchSpace(config), []
    for is_broken in (False, True):
        study = optuna.create_study(sampler=make_sampler(config, 0))
        for value in range(4):
            space.suggest(study.ask(), 0)
            study.tell(value, value)
        study.sampler = make_sampler(config, 4)
        trial = study.ask()
        if is_broken:
            for name in [*SPACE][:n_stored]:
                value, kind = params[0][name], study.trials[0].distributions[name]
                inner = kind.to_internal_repr(value)
                study._storage.set_trial_param(trial._trial_id, name, inner, kind)
            trial = optuna.Trial(study, trial._trial_id)
        space.suggest(trial, 0)
        params.append(study.trials[4].params)
    assert params[0] == params[1]


def test_seeds_of_neighbours_differ_and_do_not_depend_on_the_machine() -> None:
    assert [derive_seed(0, number) for number in range(2)] == [1446583109, 2005510037]
    assert len({derive_seed(7, number) for number in range(1000)}) == 1000


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes"])
def test_a_sampler_begins_with_as_many_random_trials_as_the_study_says(name: str) -> None:
    sampler = make_sampler(study_config(sampler={"name": name, "startup": 7}), 0)
    assert sampler._n_startup_trials == 7


MIXED = {
    "dim": {"low": 4, "high": 64},
    "lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "batch_size": {"choices": [32, 128]},
    "mix": {"low": 0.0, "high": 1.0, "when": {"dim": {"low": 16}}},
}


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ({"name": "cmaes", "startup": 2}, "batch_size, mix drawn at random, .* choices or a cond"),
        ({"name": "gp", "startup": 2}, "mix drawn at random, .* no parameters with a condition"),
        ({"name": "qmc"}, "mix drawn at random, since it takes no parameters with a condition"),
        ({"name": "tpe", "startup": 2}, ""),
        ({"name": "random"}, ""),
    ],
)
def test_parameters_that_a_sampler_draws_at_random_are_told_once(
    sampler: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    config, said = study_config(space=MIXED, sampler=sampler), list[str]()
    say_random_draws(config, said.append)
    assert len(said) == (1 if told else 0)
    assert re.match(f"sampler {sampler['name']}: {told}" if told else "$", "".join(said))
    space, study = SearchSpace(config), optuna.create_study()
    study.enqueue_trial(space.params(config.train_config))
    optuna.logging.enable_propagation()
    for number in range(5):
        study.sampler = make_sampler(config, number)
        trial = study.ask()
        study.tell(trial, space.suggest(trial, 0).lr)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []
