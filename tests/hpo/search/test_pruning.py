"""The pruning rules against Optuna's own pruners; their limits; a resume changes nothing."""

from __future__ import annotations

import warnings
from itertools import accumulate
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.trial import TrialState

from hpo.search.pruners import PruningRule, pruning_rule
from tests.support.scripted import study_config

MOST = 30
STARTUP, WARMUP = 5, 3
KINDS: dict[str, dict[str, Any]] = {
    "median": {},
    "percentile": {"keep": 30.0},
    "patient": {"patience": 1},
    "asha": {"reduction": 2},
    "hyperband": {"reduction": 3},
    "forecast": {},
    "none": {},
}


def rule(name: str, **options: float) -> PruningRule:
    space = {"epochs": {"low": 4, "high": MOST}}
    pruner = {"name": name, **KINDS[name], **options}
    if name in ("median", "percentile", "patient", "forecast"):
        pruner.setdefault("startup", STARTUP)
    if name != "none":
        pruner.setdefault("warmup", WARMUP)
    return pruning_rule(study_config(space=space, pruner=pruner), "study")


def optuna_pruner(name: str) -> BasePruner:
    median = MedianPruner(STARTUP, WARMUP, n_min_trials=5)
    match name:
        case "median":
            return median
        case "percentile":
            return PercentilePruner(30.0, STARTUP, WARMUP, n_min_trials=5)
        case "asha":
            return SuccessiveHalvingPruner(WARMUP, 2)
        case "hyperband":
            return HyperbandPruner(WARMUP, MOST, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental
        return PatientPruner(median, 1)


def curves(seed: int, n: int = 40) -> list[list[float]]:
    """Noisy curves of different lengths; better and worse ones."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        length = int(draw.integers(3, MOST + 1))
        level = draw.random() * (1 - np.exp(-np.arange(1, length + 1) / 5))
        found.append((level + 0.05 * draw.random(length)).tolist())
    return found


def play(decider: PruningRule, found: list[list[float]]) -> list[int]:
    """One trial after the other; the epochs that each one got."""
    lengths = []
    for number, curve in enumerate(found):
        n = next(
            (n for n in range(1, len(curve) + 1) if decider.is_hopeless(number, curve[:n])), None
        )
        decider.add(number, curve[:n], complete=n is None)
        lengths.append(n or len(curve))
    return lengths


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["median", "percentile", "patient", "asha", "hyperband"])
def test_it_decides_as_optuna_does(name: str, seed: int) -> None:
    found = curves(seed)
    if name in ("asha", "hyperband"):  # ours take the best value so far, Optuna's the last one
        found = [list(accumulate(curve, max)) for curve in found]
    study = optuna.create_study(
        direction="maximize", study_name="study", pruner=optuna_pruner(name)
    )
    expected = []
    for curve in found:
        trial = study.ask()
        for epoch, value in enumerate(curve, 1):
            trial.report(value, epoch)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, max(curve))
        expected.append(epoch)
    assert play(rule(name), found) == expected
    assert expected != [len(curve) for curve in found], "nothing was pruned"


@pytest.mark.parametrize("name", KINDS)
def test_a_resumed_study_decides_as_one_that_never_stopped(name: str) -> None:
    found = curves(7)
    lengths = play(rule(name), found)
    resumed = rule(name)
    for number, curve in enumerate(found[:25]):
        resumed.add(number, curve[: lengths[number]], lengths[number] == len(curve))
    rest = [
        next((n for n in range(1, len(c) + 1) if resumed.is_hopeless(25, c[:n])), len(c))
        for c in found[25:26]
    ]
    assert rest == lengths[25:26]


@pytest.mark.parametrize("name", ["median", "percentile", "patient", "forecast"])
def test_startup_and_warmup_protect(name: str) -> None:
    good = [0.5, 0.6, 0.7, 0.8, 0.9]
    bad = [0.02, 0.01, 0.0, 0.0, 0.0]
    decider = rule(name, startup=6, warmup=4)
    for number in range(6):
        assert not decider.is_hopeless(9, bad)
        decider.add(number, [value + number / 100 for value in good], complete=True)
    assert not decider.is_hopeless(9, bad[:3])
    assert decider.is_hopeless(9, bad[:4])


def test_pruned_trials_teach_nothing_but_halving() -> None:
    for name in ("median", "forecast"):
        decider = rule(name)
        for number in range(9):
            decider.add(number, [1.0 + number] * 9, complete=False)
        assert not decider.is_hopeless(9, [0.0] * 5)
    asha = rule("asha")
    for number in range(9):
        asha.add(number, [1.0] * 3, complete=False)
    assert asha.is_hopeless(9, [0.0] * 3)


@pytest.mark.parametrize("name", ["asha", "hyperband", "median", "percentile", "patient"])
def test_a_trial_that_may_not_win_prunes_none(name: str) -> None:
    decider = rule(name)
    for number in range(9):
        decider.is_hopeless(number, [1.0 + number] * 3)
        decider.discard(number)
    for number in range(9, 18):
        assert not decider.is_hopeless(number, [0.1 * number] * 3)


def test_an_epoch_that_few_have_reached_is_not_judged() -> None:
    for name in ("median", "forecast"):
        decider = rule(name)
        for number in range(12):
            decider.add(number, [1.0 + number / 100] * (20 if number < 4 else 4), complete=True)
        assert decider.is_hopeless(12, [0.5] * 4)
        assert not decider.is_hopeless(12, [0.5] * 10)


def crossing(slow: float, length: int = 20) -> list[float]:
    """Slow starters end high: at epoch 5 the order of the final values is reversed."""
    epochs = np.arange(1, length + 1)
    return ((1 + slow) * (1 - np.exp(-epochs / (1 + 6 * slow)))).tolist()


def test_the_forecast_learns_that_slow_starters_end_high() -> None:
    draw = np.random.default_rng(0)
    decider, median = rule("forecast"), rule("median")
    for number in range(12):
        curve = crossing(draw.random() * 0.6)
        decider.add(number, curve, complete=True)
        median.add(number, curve, complete=True)
    slowest = crossing(0.9)
    assert median.is_hopeless(12, slowest[:4])
    assert not decider.is_hopeless(12, slowest[:4])
    assert decider.is_hopeless(13, crossing(0.02)[:4]), "the quickest starter ends lowest"


def test_none_prunes_nothing() -> None:
    found = curves(0)
    assert play(rule("none"), found) == [len(curve) for curve in found]
