"""Comparison of the best trial, the default configuration and the baselines on the same questions.

Models are not stored while a study runs, so both trials are trained again with their stored seeds,
for as many epochs as their best epoch. The same seed, threads and device give the same numbers; the
report compares the new values with the stored ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from hpo.config import SearchSpace
from hpo.errors import StudyError
from hpo.gate import baselines
from hpo.study import StudyRecord, TrialRow, metric_tolerance
from hpo.trainables import trained_scorer
from recsys.cli import default_device, usable_device
from recsys.config import TrainConfig
from recsys.data import Bools, Holdout
from recsys.errors import ConfigError
from recsys.evaluation import (
    Evaluator,
    Floats,
    Interval,
    ItemGroup,
    MetricName,
    TowerScorer,
    UserGroup,
    UserMetrics,
    activity_groups,
    mean_interval,
    popularity_groups,
)
from recsys.models import Scorer, TwoTower
from recsys.training import train

BEST, DEFAULT = "best trial", "default configuration"
LABELS = {  # names in reports, in their order
    "ease": "EASE",
    "rp3beta": "RP3beta",
    "itemknn": "item-kNN",
    "popularity": "popularity",
}
EXACT = 1e-9  # two trainings count as the same below this difference


@dataclass(frozen=True, eq=False)
class ComparedModel:
    """One model with all its figures on validation.

    Attributes:
        name: best trial, default configuration, or the name of a baseline.
        users: every metric of every evaluated user, in the same order for all models.
        objective: metric that the study maximizes.
        by_users: the objective of the members of each user group, see
            `recsys.evaluation.segments.activity_groups`.
        by_items: for each item group, the objective of the users with a question in the group.
        stored: the objective according to the study; None for a baseline.
        model: the measured model; None for a baseline.
        tolerance: difference to `stored` that two trainings on this device may have.
    """

    name: str
    users: UserMetrics
    objective: MetricName
    by_users: Sequence[Floats]
    by_items: Sequence[Floats]
    stored: float | None = None
    model: TwoTower | None = None
    tolerance: float = 0.0

    @property
    def values(self) -> Floats:
        """Return the objective of every user, shape (m,)."""
        return self.users.values[self.objective]

    @cached_property
    def value(self) -> Interval:
        """Return the mean objective over users with its bootstrap interval."""
        return mean_interval(self.values)

    @cached_property
    def value_by_users(self) -> list[Interval]:
        """Return the mean objective of each user group with its bootstrap interval."""
        return [mean_interval(values) for values in self.by_users]

    @cached_property
    def value_by_items(self) -> list[Interval]:
        """Return the mean objective of each item group with its bootstrap interval."""
        return [mean_interval(values) for values in self.by_items]

    def gain_over(self, other: ComparedModel) -> Interval:
        """Return the mean difference to another model, paired over the same users."""
        return mean_interval(self.values - other.values)

    @property
    def is_as_stored(self) -> bool:
        """Return True if the second training gave the value that the study has."""
        return self.stored is None or (abs(self.value.mean - self.stored) < EXACT + self.tolerance)


class HoldoutEvaluator:
    """Measures any scorer on one holdout, always in the same way.

    Args:
        holdout: histories to learn from, and the held-out rows to ask for.
        device: device of the scores.
        objective: metric by which the models are compared.
        cutoffs: cut-offs of further rankings to measure.
        in_parts: also measure by user group and by item group, which costs three times as much
            again.
    """

    def __init__(
        self,
        holdout: Holdout,
        device: torch.device,
        objective: MetricName,
        cutoffs: Sequence[int] = (),
        *,
        in_parts: bool = True,
    ) -> None:
        self.holdout, self.device = holdout, device
        self.objective: MetricName = objective
        self._evaluator = Evaluator.with_exposure(holdout, device, objective, cutoffs)
        self.user_groups: list[UserGroup] = (
            activity_groups(holdout.seen, self._evaluator.users) if in_parts else []
        )
        self.item_groups: list[ItemGroup] = popularity_groups(holdout) if in_parts else []
        asked = [objective]
        self._parts = [Evaluator(group.holdout, device, names=asked) for group in self.item_groups]

    @property
    def has_history(self) -> Bools:
        """Return a mask (m,) of the evaluated users with at least one row to learn from."""
        lengths = np.diff(self.holdout.seen.offsets)[self._evaluator.users]
        return np.asarray(lengths > 0)

    def measure(self, name: str, scorer: Scorer, stored: float | None = None) -> ComparedModel:
        """Measure one scorer on the holdout.

        Args:
            name: name of the model.
            scorer: the model to measure.
            stored: the objective according to the study; None for a baseline.
        """
        users = self._evaluator.evaluate(scorer)
        return ComparedModel(
            name,
            users,
            self.objective,
            [users.values[self.objective][group.members] for group in self.user_groups],
            [part.evaluate(scorer).values[self.objective] for part in self._parts],
            stored,
            scorer.model if isinstance(scorer, TowerScorer) else None,
            metric_tolerance(self.device),
        )


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """Models measured on one holdout, the best trial first.

    Attributes:
        evaluator: the evaluator that measured them.
        found: the measured models.
    """

    evaluator: HoldoutEvaluator
    found: Sequence[ComparedModel]

    @property
    def winner(self) -> ComparedModel:
        """Return the figures of the best trial."""
        return self.found[0]


def device_of(trial: TrialRow) -> torch.device:
    """Return the device of a trial's training if this machine has it, else the default device.

    Another device gives other numbers.
    """
    if trial.attempt is not None:
        # this machine may lack the device; the report lists the differences
        with suppress(ConfigError):
            return usable_device(trial.attempt.device)
    return default_device()


def compare_models(
    holdout: Holdout,
    device: torch.device,
    record: StudyRecord,
    best: TrialRow,
    default: TrialRow | None,
) -> ModelComparison | None:
    """Measure the best trial, the default configuration and the baselines, in this order.

    The default configuration is left out if it has no COMPLETE trial, and a baseline if it cannot
    be computed for so large a catalogue. None for a model of the user's own without a scorer.

    Args:
        holdout: the study's validation split.
        device: device of the trainings.
        record: record of the study.
        best: the best trial.
        default: the COMPLETE trial of the default configuration; None: there is none.

    Raises:
        StudyError: a trial was not run by hpo.run.
        TrainingFailed: the scorer of the user's own model raised an error.
    """
    evaluator = HoldoutEvaluator(holdout, device, record.config.objective, record.config.cutoffs)
    named = [(BEST, best)]
    if default is not None and default.number != best.number:
        named.append((DEFAULT, default))
    found = []
    for name, trial in named:
        scorer = _retrain(evaluator, record, trial)
        if scorer is None:
            return None
        found.append(evaluator.measure(name, scorer, trial.value))
    return ModelComparison(evaluator, [*found, *_baselines(evaluator)])


def compare_elsewhere(
    holdout: Holdout, device: torch.device, record: StudyRecord, best: TrialRow
) -> ModelComparison | None:
    """Measure the best trial's configuration and the baselines on a holdout of another split.

    None for a model of the user's own without a scorer.

    Args:
        holdout: histories to learn from, and the held-out rows to ask for.
        device: device of the trainings.
        record: record of the study.
        best: the best trial.

    Raises:
        StudyError: the trial was not run by hpo.run.
        TrainingFailed: the scorer of the user's own model raised an error.
    """
    evaluator = HoldoutEvaluator(holdout, device, record.config.objective, in_parts=False)
    scorer = _retrain(evaluator, record, best)
    if scorer is None:
        return None
    winner = evaluator.measure(BEST, scorer)
    return ModelComparison(evaluator, [winner, *_baselines(evaluator)])


def _baselines(evaluator: HoldoutEvaluator) -> list[ComparedModel]:
    """Measure the baselines; leave out EASE above its limit of items."""
    made, _ = baselines(evaluator.holdout.seen, evaluator.device)
    return [evaluator.measure(label, made[name]) for name, label in LABELS.items() if name in made]


def _retrain(evaluator: HoldoutEvaluator, record: StudyRecord, trial: TrialRow) -> Scorer | None:
    """Train a trial's model again up to its best epoch, from `holdout.seen` alone.

    Raises:
        StudyError: the trial was not run by hpo.run, so its seed is unknown.
    """
    if trial.attempt is None or not trial.best_epoch:
        raise StudyError(
            f"trial {trial.number} was not run by hpo.run, so its seed and best epoch are unknown; "
            "run the study with hpo.run"
        )
    holdout = evaluator.holdout
    found = SearchSpace(record.config).config(trial.params, trial.attempt.seed)
    if record.config.trainable is not None:
        model = record.config.trainable
        return trained_scorer(model, holdout, found, trial.best_epoch, evaluator.device)
    seen, config = holdout.seen, TrainConfig.of(found)
    # The trial's own number of threads adds up sums in the same order as its worker.
    towers = train(seen, config, trial.best_epoch, evaluator.device, trial.attempt.threads)
    return TowerScorer(towers, seen)
