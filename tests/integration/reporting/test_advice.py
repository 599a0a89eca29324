"""What a study says about its own search space, on planted trials."""

from __future__ import annotations

import json
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest
from optuna import Study
from optuna_dashboard import wsgi

from hpo.config.study_config import Parameter, StudyConfig
from hpo.reporting.insights import hints, importances, position
from hpo.study.trial_rows import TrialRow, read_trials
from tests.support.scripted import ScriptedRunner, make_ledger, study_config

CONFIG = study_config(
    base={"dim": 64, "lr": 0.01, "epochs": 40, "mix": 0.5, "batch_size": 64},
    space={
        "dim": {"low": 16, "high": 256, "log": True},
        "lr": {"low": 1e-3, "high": 1e-1, "log": True},
        "epochs": {"low": 10, "high": 60},
        "mix": {"low": 0.0, "high": 1.0},
        "batch_size": {"choices": [64, 128]},
    },
)


def trial(number: int, value: float, best_epoch: int = 30, **params: float) -> TrialRow:
    values = {"dim": 64, "lr": 0.01, "epochs": 60, "mix": 0.5, "batch_size": 128} | params
    return TrialRow(
        number, "COMPLETE", value, values, {}, best_epoch, 1.0, 0.2, None, None, None, None
    )  # fmt: skip


def rest(n: int) -> list[TrialRow]:
    return [trial(10 + i, i / 1000) for i in range(n)]


def test_a_bound_that_most_of_the_best_press_against() -> None:
    best = [trial(0, 0.9, dim=250), trial(1, 0.8, dim=240), trial(2, 0.7, dim=64)]
    (hint,) = hints(CONFIG, best + rest(12), {}, {})
    assert hint.parameter == "dim"
    assert "2 of the 3 best trials" in hint.text
    assert "press against high = 256 (" in hint.text
    assert hint.text.endswith("Try high = 512.")
    assert hint.option == "--set 'space.dim={ low = 16, high = 512, log = true }'"


def test_closeness_is_in_the_parameters_own_scale() -> None:
    best = [trial(0, 0.9, lr=0.0012), trial(1, 0.8, lr=0.0011), trial(2, 0.7, mix=0.85)]
    (hint,) = hints(CONFIG, best + rest(12), {}, {})
    assert "against low = 0.001 (" in hint.text
    assert hint.text.endswith("Try low = 0.0005.")
    linear = [trial(0, 0.9, mix=0.05), trial(1, 0.8, mix=0.95), trial(2, 0.7, mix=0.95)]
    (hint,) = hints(CONFIG, linear + rest(12), {}, {})
    assert hint.text.endswith("Try high = 1.5.")
    assert hint.option == "--set 'space.mix={ low = 0, high = 1.5 }'"


def test_a_bound_that_is_the_hyperparameters_own_is_no_news() -> None:
    best = [trial(i, 0.9, mix=0.01) for i in range(3)]  # mix cannot go below 0
    assert hints(CONFIG, best + rest(12), {}, {}) == []


def test_epochs_press_only_if_the_best_epoch_does() -> None:
    early = [trial(i, 0.9, best_epoch=30, epochs=60) for i in range(3)]
    assert hints(CONFIG, early + rest(12), {}, {}) == []
    at_once = [trial(i, 0.9, best_epoch=3, epochs=60) for i in range(3)]
    assert hints(CONFIG, at_once + rest(12), {}, {}) == []  # a cap is never advised downward
    late = [trial(i, 0.9, best_epoch=58, epochs=60) for i in range(3)]
    (hint,) = hints(CONFIG, late + rest(12), {}, {})
    assert hint.text.startswith("epochs: the best epochs of the 3 best trials")
    assert hint.text.endswith("Try high = 85.")


def test_a_parameter_that_does_not_matter() -> None:
    shares = {"dim": 0.9, "lr": 0.06, "mix": 0.04}
    (hint,) = hints(CONFIG, rest(12), shares, shares | {"mix": 0.03})
    assert hint.parameter == "mix"
    assert "(importance 0.04, share of the variance 0.03): fix it" in hint.text


def test_no_advice_from_a_figure_that_the_other_measure_contradicts() -> None:
    small, large = {"dim": 0.99, "mix": 0.01}, {"dim": 0.84, "mix": 0.16}
    assert hints(CONFIG, rest(12), small, large) == []
    assert hints(CONFIG, rest(12), large, small) == []
    assert hints(CONFIG, rest(12), small, {"dim": 1.0}) == []  # not judged by the other


def test_few_trials_say_nothing() -> None:
    assert (
        hints(CONFIG, [trial(i, 0.9, dim=256) for i in range(9)], {"mix": 0.0}, {"mix": 0.0}) == []
    )


@pytest.mark.parametrize(
    ("name", "limits", "value", "told"),
    [
        ("mix", {"low": 0.4985, "high": 0.499}, 0.499, "Try high = 0.4992."),
        ("cuts", {"low": 1, "high": 2}, 2, "Try high = 3."),
        ("cuts", {"low": 1, "high": 2}, 1, ""),
        ("negatives", {"low": 1, "high": 2}, 1, "Try low = 0."),
        ("negatives", {"low": 1, "high": 8, "log": True}, 1, ""),
        ("negatives", {"low": 3, "high": 8, "log": True}, 3, "Try low = 1."),
    ],
)
def test_advice_is_beyond_the_end_or_there_is_none(
    name: str, limits: dict[str, float], value: float, told: str
) -> None:
    """Integers of narrow ranges, and ends that differ in the fourth digit only."""
    config = study_config(space={name: limits})
    other = limits["low"] if value == limits["high"] else limits["high"]
    best = [trial(i, 0.9, **{name: value}) for i in range(3)]
    found = hints(
        config, [*best, *(trial(10 + i, 0.1, **{name: other}) for i in range(12))], {}, {}
    )
    assert [hint.text.rpartition("). ")[2] for hint in found] == ([told] if told else [])


def test_position() -> None:
    log = Parameter(low=1, high=100, log=True)
    assert [position(log, value) for value in (1, 10, 100)] == pytest.approx([0, 0.5, 1])
    assert position(Parameter(low=10, high=20), 12.5) == pytest.approx(0.25)


def shown_by_optuna_dashboard(study: Study) -> dict[str, float]:
    """Ask its own API."""
    app = wsgi(study._storage)
    environ: dict[str, object] = {"PATH_INFO": f"/api/studies/{study._study_id}/param_importances"}
    setup_testing_defaults(environ)
    answer = json.loads(b"".join(app(environ, lambda *_: None)))
    ((*shares,),) = answer["param_importances"]
    return {share["name"]: share["importance"] for share in shares}


@pytest.mark.parametrize(("n_trials", "known"), [(9, False), (14, True)])
def test_importances_find_what_decides(tmp_path: Path, n_trials: int, known: bool) -> None:
    config: StudyConfig = study_config(pruner={"name": "none"})
    ledger, runner = make_ledger(tmp_path, config), ScriptedRunner()  # dim alone decides
    for _ in range(n_trials):
        assignment = ledger.start("inline", 1)
        for result in runner.epochs(assignment.config):
            ledger.report(assignment, result)
        ledger.complete(assignment)
    found = importances(ledger._study, read_trials(ledger._study))
    if known:
        assert next(iter(found)) == "dim"
        assert sum(found.values()) == pytest.approx(1)
        assert found == pytest.approx(shown_by_optuna_dashboard(ledger._study))
    else:
        assert found == {}


def test_a_legal_bound_is_told_whole() -> None:
    config = study_config(space={"average": {"low": 0.9, "high": 0.999}})
    best = [trial(0, 0.9, average=0.9985), trial(1, 0.8, average=0.9989), trial(2, 0.7)]
    others = [trial(10 + i, i / 1000, average=0.95) for i in range(12)]
    (hint,) = hints(config, [*best[:2], trial(2, 0.7, average=0.9988), *others], {}, {})
    assert hint.text.endswith("Try high = 0.9999.")
    assert hint.option == "--set 'space.average={ low = 0.9, high = 0.9999 }'"
