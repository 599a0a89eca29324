"""A study on recorded curves: one worker, the product's rules, no training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from search.table import Curve, Table

Space = dict[str, BaseDistribution]


class Rule(Protocol):
    """As `hpo.search.pruners.PruningRule`."""

    def add(self, number: int, values: list[float], complete: bool) -> None: ...

    def is_hopeless(self, number: int, values: list[float]) -> bool: ...


@dataclass(frozen=True)
class ComparedModel:
    """A way to search.

    Attributes:
        sampler: (seed of the study, trials so far) -> sampler of the next trial.
        rule: a new pruning rule, for a study of this name.
    """

    sampler: Callable[[int, int], BaseSampler]
    rule: Callable[[optuna.Study], Rule]


@dataclass
class History:
    """One study. All lists have one entry a trial.

    Attributes:
        seconds: recorded CPU seconds up to its end.
        best: value of the best COMPLETE trial up to its end.
        expected: that trial's value without its luck, see `Table.expected`.
        epochs: that it ran.
        pruned: whether it was.
        asked: CPU seconds that the sampler took (of this machine, now).
    """

    seconds: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    pruned: list[bool] = field(default_factory=list)
    asked: float = 0.0

    def after(self, n_trials: int) -> int:
        return min(n_trials, len(self.best)) - 1

    def within(self, seconds: float) -> int:
        """The last trial that ended in time; -1 if none did."""
        return int(np.searchsorted(self.seconds, seconds, side="right")) - 1


def replay(
    contender: ComparedModel,
    table: Table,
    space: Space,
    start: dict[str, float],
    seed: int,
    seconds: float,
    n_trials: int,
    most: int,
) -> History:
    """A study of at least `n_trials` trials and `seconds`, of at most `most` trials.

    Args:
        start: trial 0, as in every study of hpo.
    """
    study = optuna.create_study(
        direction="maximize", study_name=f"s{seed}", pruner=optuna.pruners.NopPruner()
    )
    study.enqueue_trial(start)
    rule, history = contender.rule(study), History()
    spent, best, expected = 0.0, 0.0, 0.0
    while (len(history.best) < n_trials or spent < seconds) and len(history.best) < most:
        number = len(history.best)
        begin = time.process_time()
        study.sampler = contender.sampler(seed, number)
        trial = study.ask(space)
        history.asked += time.process_time() - begin
        curve = table.curve(trial.params, np.random.default_rng([seed, number]))
        n_epochs, pruned = _run(study, trial, curve, rule)
        spent += curve.setup + sum(curve.seconds[:n_epochs])
        if not pruned and max(curve.values) > best:
            best, expected = max(curve.values), table.expected(trial.params)
        history.seconds.append(spent)
        history.best.append(best)
        history.expected.append(expected)
        history.epochs.append(n_epochs)
        history.pruned.append(pruned)
    return history


def _run(study: optuna.Study, trial: Trial, curve: Curve, rule: Rule) -> tuple[int, bool]:
    """Epochs that it ran, and whether it was pruned."""
    for epoch, value in enumerate(curve.values, 1):
        trial.report(value, epoch)
        if rule.is_hopeless(trial.number, curve.values[:epoch]):
            study.tell(trial, state=TrialState.PRUNED)
            rule.add(trial.number, curve.values[:epoch], complete=False)
            return epoch, True
    study.tell(trial, max(curve.values))
    rule.add(trial.number, curve.values, complete=True)
    return len(curve.values), False
