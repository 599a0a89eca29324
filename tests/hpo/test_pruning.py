"""The median rule against Optuna's own, and its limits."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.pruners import MedianPruner

from hpo.pruning import MedianRule
from hpo.settings import PrunerConfig

CONFIG = PrunerConfig(startup=5, warmup=3)


def curves(seed: int, n: int = 12) -> list[dict[int, float]]:
    """Noisy curves of different lengths."""
    draw = np.random.default_rng(seed)
    return [
        {epoch: float(draw.random() * epoch) for epoch in range(1, draw.integers(3, 12))}
        for _ in range(n)
    ]


def rule_with(found: list[dict[int, float]], config: PrunerConfig = CONFIG) -> MedianRule:
    rule = MedianRule(config)
    for curve in found:
        rule.add(curve)
    return rule


@pytest.mark.parametrize("seed", range(5))
def test_it_decides_as_optuna_does(seed: int) -> None:
    *finished, running = curves(seed)
    pruner = MedianPruner(CONFIG.startup, CONFIG.warmup, n_min_trials=5)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for curve in finished:
        study.add_trial(optuna.create_trial(value=1.0, intermediate_values=curve))
    rule, trial, best = rule_with(finished), study.ask(), 0.0
    for epoch, value in running.items():
        trial.report(value, epoch)
        best = max(best, value)
        assert rule.is_hopeless(epoch, best) == trial.should_prune()


def test_both_answers_occur() -> None:
    rule = rule_with(curves(0))
    assert rule.is_hopeless(3, 0.0)
    assert not rule.is_hopeless(3, 100.0)


def test_warmup_startup_and_none_protect() -> None:
    assert not rule_with(curves(0)).is_hopeless(2, 0.0)
    assert not rule_with(curves(0, 4)).is_hopeless(3, 0.0)
    assert not rule_with(curves(0), PrunerConfig(name="none")).is_hopeless(9, 0.0)


def test_an_epoch_that_few_have_reached_is_not_judged() -> None:
    long, short = dict.fromkeys(range(1, 20), 1.0), {1: 1.0, 2: 1.0, 3: 1.0}
    rule = rule_with([long] * 4 + [short] * 8)
    assert rule.is_hopeless(3, 0.5)
    assert not rule.is_hopeless(10, 0.5)
