"""The best trial, the default configuration and the baselines, measured on the same questions.

Models are not kept while a study runs, so the two trials are trained again with their stored
seeds, for their best epoch count. The same seed, threads and device give the same numbers; whether
they did is checked against what the storage says.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from hpo.config.search_space import SearchSpace
from hpo.errors import StudyError
from hpo.gate.rivals import baselines
from hpo.study.records import StudyRecord
from hpo.study.trial_rows import TrialRow
from recsys.cli.formatting import default_device, usable_device
from recsys.config import TrainConfig
from recsys.data.interactions import Bools
from recsys.data.splitting import Holdout
from recsys.errors import ConfigError
from recsys.evaluation.bootstrap import Interval, mean_interval
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.evaluation.metrics import Floats, MetricName, UserMetrics
from recsys.evaluation.segments import (
    ItemGroup,
    UserGroup,
    activity_groups,
    coverage,
    popularity_groups,
)
from recsys.models.scorer import Scorer
from recsys.models.two_tower import TwoTower
from recsys.training.fixed_epochs import train

BEST, DEFAULT = "best trial", "default configuration"
LABELS = {"ease": "EASE", "itemknn": "item-kNN", "popularity": "popularity"}  # as reports show them
EXACT = 1e-9  # two trainings count as the same below this difference


@dataclass(frozen=True, eq=False)
class Contender:
    """One model and all that was measured of it on validation.

    Attributes:
        name: best trial, default configuration, or a baseline's.
        users: every metric of every evaluated user, in the same order for all contenders.
        objective: what the study maximizes.
        by_users: the objective of each group of users, see
            `recsys.evaluation.segments.activity_groups`.
        by_items: per group of items, the objective of the users with a question in it.
        coverage: share of the catalogue in somebody's top 10.
        stored: what the study says that its objective is; None for a baseline.
        model: what was measured; None for a baseline.
    """

    name: str
    users: UserMetrics
    objective: MetricName
    by_users: Sequence[Floats]
    by_items: Sequence[Floats]
    coverage: float
    stored: float | None = None
    model: TwoTower | None = None

    @property
    def values(self) -> Floats:
        """(m,) the objective of every user."""
        return self.users.values[self.objective]

    @cached_property
    def value(self) -> Interval:
        """The mean over users with its bootstrap interval."""
        return mean_interval(self.values)

    @cached_property
    def value_by_users(self) -> list[Interval]:
        return [mean_interval(values) for values in self.by_users]

    @cached_property
    def value_by_items(self) -> list[Interval]:
        return [mean_interval(values) for values in self.by_items]

    def gain_over(self, other: Contender) -> Interval:
        """The mean difference to another one on the same users, paired."""
        return mean_interval(self.values - other.values)

    @property
    def is_as_stored(self) -> bool:
        """Whether training again gave the value that the study has."""
        return self.stored is None or abs(self.value.mean - self.stored) < EXACT


class Bench:
    """Measures any scorer on one holdout, in the same way each time.

    Args:
        objective: by which the models are compared.
        in_parts: also by group of users and of items, which costs as much again three times.
    """

    def __init__(
        self,
        holdout: Holdout,
        device: torch.device,
        objective: MetricName,
        *,
        in_parts: bool = True,
    ) -> None:
        self.holdout, self.device = holdout, device
        self.objective: MetricName = objective
        self._evaluator = Evaluator(holdout, device)
        self.user_groups: list[UserGroup] = (
            activity_groups(holdout.seen, self._evaluator.users) if in_parts else []
        )
        self.item_groups: list[ItemGroup] = popularity_groups(holdout) if in_parts else []
        self._parts = [Evaluator(group.holdout, device) for group in self.item_groups]

    @property
    def has_history(self) -> Bools:
        """(m,) bool: which of the evaluated users have at least one row to learn from."""
        lengths = np.diff(self.holdout.seen.offsets)[self._evaluator.users]
        return np.asarray(lengths > 0)

    def measure(self, name: str, scorer: Scorer, stored: float | None = None) -> Contender:
        users = self._evaluator.evaluate(scorer)
        return Contender(
            name,
            users,
            self.objective,
            [users.values[self.objective][group.members] for group in self.user_groups],
            [part.evaluate(scorer).values[self.objective] for part in self._parts],
            coverage(scorer, self.holdout.seen, self._evaluator.users, self.device),
            stored,
            scorer.model if isinstance(scorer, TowerScorer) else None,
        )


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """Contenders measured on one bench, the best trial first."""

    bench: Bench
    found: Sequence[Contender]

    @property
    def winner(self) -> Contender:
        return self.found[0]


def device_of(trial: TrialRow) -> torch.device:
    """Return where a trial was trained, if this machine has it: another device, other numbers."""
    if trial.attempt is not None:
        with suppress(ConfigError):  # trained on another machine: the report says what differs
            return usable_device(trial.attempt.device)
    return default_device()


def compare_models(
    holdout: Holdout,
    device: torch.device,
    record: StudyRecord,
    best: TrialRow,
    default: TrialRow | None,
) -> ModelComparison:
    """The best trial first, then the default configuration if it has a COMPLETE trial, baselines.

    A baseline that cannot be computed for so large a catalogue is left out.

    Raises:
        StudyError: a trial was not run by hpo.run.
    """
    bench = Bench(holdout, device, record.config.objective)
    named = [(BEST, best)]
    if default is not None and default.number != best.number:
        named.append((DEFAULT, default))
    found = [
        bench.measure(name, _retrain(bench, record, trial), trial.value) for name, trial in named
    ]
    return ModelComparison(bench, [*found, *_baselines(bench)])


def compare_elsewhere(
    holdout: Holdout, device: torch.device, record: StudyRecord, best: TrialRow
) -> ModelComparison:
    """The best trial's configuration and the baselines on another holdout than the study's."""
    bench = Bench(holdout, device, record.config.objective, in_parts=False)
    winner = bench.measure(BEST, _retrain(bench, record, best))
    return ModelComparison(bench, [winner, *_baselines(bench)])


def _baselines(bench: Bench) -> list[Contender]:
    """Measure EASE, item-kNN and popularity; leave out EASE above its number of items."""
    made, _ = baselines(bench.holdout.seen, bench.device)
    return [bench.measure(label, made[name]) for name, label in LABELS.items() if name in made]


def _retrain(bench: Bench, record: StudyRecord, trial: TrialRow) -> TowerScorer:
    """The trial's model as it was at its best epoch, learned from `holdout.seen` alone.

    Raises:
        StudyError: the trial was not run by hpo.run, so its seed is unknown.
    """
    if trial.attempt is None or not trial.best_epoch:
        raise StudyError(
            f"trial {trial.number} was not run by hpo.run, so its seed and best epoch are unknown; "
            "run the study with hpo.run"
        )
    seen, config = bench.holdout.seen, _trial_config(record, trial)
    # the trial's own number of threads orders the sums as its worker did
    model = train(seen, config, trial.best_epoch, bench.device, trial.attempt.threads)
    return TowerScorer(model, seen)


def _trial_config(record: StudyRecord, trial: TrialRow) -> TrainConfig:
    """All hyperparameters that a trial was trained with."""
    seed = trial.attempt.seed if trial.attempt else 0
    return SearchSpace(record.config).config(trial.params, seed)
