"""Conditional parameters: searched where their condition holds, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings, strategies as st
from optuna.samplers import TPESampler

from hpo.config.parameter import Condition, Parameter
from hpo.config.search_space import SearchSpace
from hpo.execution.summary import trial_table
from hpo.reporting.figures.space import importance_bars, middle_tick, parallel_coordinates, slices
from hpo.reporting.insights import hints, importances, variance_shares
from hpo.reporting.report import write_report
from hpo.reporting.tables import best_trials
from hpo.search.samplers import make_sampler
from hpo.study.candidates import top_candidates
from hpo.study.records import StudyRecord
from hpo.study.trial_rows import complete_best_first, read_trials
from hpo.tracking.trial_projection import StudyView, project_trial
from tests.support.real_study import RealStudy
from tests.support.scripted import epoch_result, make_ledger, make_study, study_config, study_record

SPACE = {
    # children stand before their parents, on purpose
    "mix": {"low": 0.5, "high": 1.0, "when": {"window": {"low": 20}, "cuts": [2, 3]}},
    "window": {"low": 10, "high": 110, "step": 10, "when": {"cuts": {"low": 2}}},
    "cuts": {"low": 1, "high": 3},
    "lr": {"low": 1e-3, "high": 1e-1, "log": True},
}


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_what_is_drawn_follows_the_conditions_and_the_inverse_gives_it_back(seed: int) -> None:
    config = study_config(space=SPACE, sampler={"name": "random"})
    space, base = SearchSpace(config), config.train_config
    trial = optuna.create_study(sampler=make_sampler(config, seed)).ask()
    drawn = space.suggest(trial, seed=3)
    has_window = drawn.cuts >= 2
    has_mix = has_window and drawn.window >= 20
    names = {"cuts", "lr", *(["window"] if has_window else []), *(["mix"] if has_mix else [])}
    assert set(trial.params) == names
    if not has_window:
        assert drawn.window == base.window
    if not has_mix:
        assert drawn.mix == base.mix
    assert space.params(drawn) == trial.params
    assert space.config(trial.params, 3) == drawn
    assert space.is_complete(trial.params)
    for name in names - {"cuts"}:  # killed amid the suggestions
        assert not space.is_complete({n: v for n, v in trial.params.items() if n != name})
    assert not space.is_complete({**trial.params, "dim": 8})


@pytest.mark.parametrize(
    ("parameter", "condition", "whole", "met"),
    [
        ({"low": 1, "high": 9}, {"low": 9}, False, False),  # one point of a continuum
        ({"low": 1, "high": 9}, {"low": 8.5}, False, True),
        ({"low": 1, "high": 9}, {"low": 9}, True, True),
        ({"low": 1, "high": 9}, {"low": 1.1, "high": 1.9}, True, False),
        ({"low": 10, "high": 110, "step": 10}, {"low": 41, "high": 49}, True, False),
        ({"low": 10, "high": 110, "step": 10}, {"high": 49}, True, True),
        ({"low": 0.1, "high": 0.7, "step": 0.2}, {"low": 0.3, "high": 0.3}, False, True),
        ({"choices": [1, 4]}, {"low": 2, "high": 3}, True, False),
        ({"choices": [1, 4]}, {"choices": [4]}, True, True),
    ],
)
def test_whether_a_condition_can_ever_hold(
    parameter: dict, condition: dict, whole: bool, met: bool
) -> None:
    spec = Parameter.model_validate(parameter)
    assert spec.can_meet(Condition.model_validate(condition), whole=whole) is met


def test_tpe_learns_a_conditional_space_in_groups() -> None:
    plain, conditional = study_config(), study_config(space=SPACE)
    for config, is_group in ((plain, False), (conditional, True)):
        sampler = make_sampler(config, 20)
        assert isinstance(sampler, TPESampler)
        assert (sampler._group, config.is_conditional) == (is_group, is_group)


def test_a_lost_trial_that_lacks_a_parameter_runs_again(tmp_path: Path) -> None:
    config = study_config(space=SPACE, base={"cuts": 1, "lr": 0.01})
    ledger = make_ledger(tmp_path, config)
    first = ledger.start("scripted", 1)
    assert set(first.trial.params) == {"cuts", "lr"}
    ledger.fail(first, first.outcome("worker-died", "gone"))
    ledger.requeue()
    assert ledger.start("scripted", 1).config == first.config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> optuna.Study:
    """30 trials, better with more cuts and a higher mix."""
    folder = tmp_path_factory.mktemp("conditional")
    config = study_config(space=SPACE, base={"cuts": 1, "lr": 0.01}, pruner={"name": "none"})
    ledger = make_ledger(folder, config)
    for _ in range(30):
        assignment = ledger.start("scripted", 1)
        params = assignment.trial.params
        value = params["cuts"] / 10 + params.get("mix", 0.0) / 20 + params["lr"] / 100
        ledger.report(assignment, epoch_result(1, value))
        ledger.complete(assignment)
    return make_study(folder, config)


def test_everything_that_reads_trials_bears_one_that_lacks_a_parameter(
    finished: optuna.Study,
) -> None:
    config = study_config(space=SPACE, base={"cuts": 1, "lr": 0.01})
    record, trials = study_record(config), read_trials(finished)
    lacking = [trial for trial in trials if "mix" not in trial.params]
    assert 0 < len(lacking) < 30
    importance = importances(finished, trials)
    assert set(importance) == set(SPACE)
    assert importance["cuts"] > importance["lr"]
    variance = variance_shares(finished, trials)
    assert set(variance) == {"cuts", "lr"}  # all trials have these
    assert variance["cuts"] > variance["lr"]
    found = hints(config, trials, importance, variance)
    assert {hint.parameter for hint in found} <= set(SPACE)
    assert "-" in [cell for row in best_trials(record, trials).rows for cell in row]
    assert trial_table(finished, record).row_count
    for figure in (
        importance_bars(importance),
        parallel_coordinates(trials, config.space, config.objective),
        slices(trials, config.space, config.objective),
    ):
        figure.canvas.draw()
    few = [*complete_best_first(lacking)[:3]]  # nobody has window or mix
    slices(few, config.space, config.objective).canvas.draw()
    parallel_coordinates(few, config.space, config.objective).canvas.draw()


def test_candidates_and_mlflow_know_what_such_a_trial_was_trained_with(
    finished: optuna.Study,
) -> None:
    space = SearchSpace(study_config(space=SPACE, base={"cuts": 1, "lr": 0.01}))
    candidates = top_candidates(finished, 30)
    for candidate in candidates:
        assert space.params(candidate.config) == finished.trials[candidate.trial].params
    lacking = next(trial for trial in finished.trials if "mix" not in trial.params)
    content = project_trial(StudyView("s", 0, StudyRecord.of(finished)), lacking, "parent")
    assert content is not None
    assert content.params["mix"] == "0.35"


def test_a_trained_study_is_reported_and_its_winner_known(tmp_path: Path) -> None:
    study = RealStudy(tmp_path)
    space = {
        "cuts": {"low": 1, "high": 2},
        "user_power": {"low": 0.1, "high": 1.0, "when": {"cuts": 2}},
    }
    trained = study.train("conditional", 6, space=space)
    assert {len(trial.params) for trial in trained.trials} == {1, 2}
    page = write_report(study.locations, "conditional", tmp_path / "report").page
    assert "user_power" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("low", "high", "whole", "expected"),
    [
        (0.001, 0.03, False, [0.005]),
        (1e-6, 1e-2, False, [1e-4]),
        (8, 32, True, [16]),
        (0.1, 0.2, False, []),
        (2, 3, True, []),
    ],
)
def test_the_middle_of_a_slice_is_a_plain_number(
    low: float, high: float, whole: bool, expected: list[float]
) -> None:
    assert middle_tick(low, high, whole=whole) == pytest.approx(expected)
