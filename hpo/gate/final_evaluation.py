"""The only measurement on test users: the refit and its rivals answer the same question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from hpo.config import PromotionConfig
from hpo.gate.common_ground import ChampionScorer, NoCommonGround, common_ground, on_ground
from hpo.gate.findings import OURS, OURS_SHARED
from hpo.gate.rivals import Champion, baselines
from hpo.gate.rules import CHAMPION, DEFAULT, Comparison, compare
from hpo.study import Candidate
from recsys.config import TrainConfig
from recsys.data import Holdout, Split
from recsys.errors import DivergedError
from recsys.evaluation import (
    Evaluator,
    Interval,
    MetricName,
    TowerScorer,
    UserMetrics,
    mean_intervals,
)
from recsys.models import Scorer, TwoTower
from recsys.training import train


@dataclass(eq=False)
class FinalEvaluation:
    """The test users, and one model trained on all other rows.

    Attributes:
        split: the split of all data.
        model: the model, trained on train + validation.
        rules: the gate's section of the study file.
        device: device of the scores.
        objective: metric by which the model is compared.
        renews: True if the model is a retraining of the champion.
        cutoffs: cut-offs of further rankings to measure.
        comparisons: comparisons made so far.
        notes: sentences on rivals that were not measured, or only on a part of the users.
        obstacle: the reason why the champion could not be compared; None if nothing
            prevented it.
        missing: by name of a baseline, the reason why it could not be measured.
        found: metrics of the model per test user.
        lists: by who answers, this model or a rival, all metrics over the users compared.
    """

    split: Split
    model: TwoTower
    rules: PromotionConfig
    device: torch.device
    objective: MetricName
    renews: bool = False
    cutoffs: Sequence[int] = ()
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    obstacle: str | None = None
    missing: dict[str, str] = field(default_factory=dict)
    lists: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._evaluator = self._evaluator_of(self.split.final)
        self._scorer = TowerScorer(self.model, self.split.final.seen)
        self.found: UserMetrics = self._evaluator.evaluate(self._scorer)
        self.lists[OURS] = self.found.mean().as_dict()

    def _evaluator_of(self, holdout: Holdout) -> Evaluator:
        """Return the evaluator of all metrics, of the study's cut-offs and of exposure."""
        return Evaluator.with_exposure(holdout, self.device, self.objective, self.cutoffs)

    @property
    def test(self) -> dict[str, Interval]:
        """Return every metric of the model over all test users, with its 95% interval."""
        columns = np.stack(list(self.found.values.values()), axis=1)
        return dict(zip(self.found.values, mean_intervals(columns), strict=True))

    def compare_with(self, rival: str, scorer: Scorer, what: str = "") -> None:
        """Compare the model with a rival on all test users.

        Args:
            rival: kind of the rival, see `Comparison`.
            scorer: computes the rival's scores.
            what: description of the rival, see `Comparison`.
        """
        self._compare(rival, self.found, self._evaluator.evaluate(scorer), what)

    def _compare(self, rival: str, ours: UserMetrics, theirs: UserMetrics, what: str) -> None:
        """Record the comparison of two measurements of the same users, see `compare_with`."""
        values = (ours.values[self.objective], theirs.values[self.objective])
        renews = self.renews and rival == CHAMPION
        self.comparisons.append(compare(rival, *values, self.rules, what, renews=renews))
        self.lists[self.comparisons[-1].name] = theirs.mean().as_dict()

    def compare_with_champion(self, champion: Champion) -> None:
        """Compare the model with the champion on common ground, or record the obstacle."""
        what = f"version {champion.version}"
        try:
            if champion.stored is None:
                raise NoCommonGround(champion.problem)
            ground = common_ground(self.split.final, champion.stored)
        except NoCommonGround as error:
            self.obstacle = f"the {CHAMPION} ({what}) cannot be compared: {error}"
            self.notes.append(self.obstacle)
            return
        champion.stored.model.to(self.device)
        evaluator = self._evaluator_of(ground.holdout)
        ours = evaluator.evaluate(on_ground(self._scorer, ground, self.device))
        theirs = evaluator.evaluate(ChampionScorer(champion.stored, ground))
        if ground.note:
            self.notes.append(ground.note)
            self.lists[OURS_SHARED] = ours.mean().as_dict()  # beside the champion's
        self._compare(CHAMPION, ours, theirs, what)

    def compare_with_default(self, default: Candidate | None, config: TrainConfig) -> None:
        """Compare the model with the study's default configuration, which is never a gate.

        The default learns from no teachers, which its name says where the model had some.

        Args:
            default: the trial of the default configuration; None if it has no COMPLETE trial.
            config: the config of the model.
        """
        if default is None:
            self.notes.append("the default configuration has no complete trial in the study")
        elif default.config.replace(seed=0) == config.replace(seed=0):
            self.notes.append("the winner is the default configuration")
        else:
            seen = self.split.final.seen
            try:
                model = train(
                    seen, TrainConfig.of(default.config), default.refit_epochs, self.device
                )
            except DivergedError:
                self.notes.append("the default configuration diverged on train + validation")
            else:
                alone = ", without teachers" if self.rules.teachers else ""
                what = f"trial {default.trial}{alone}"
                self.compare_with(DEFAULT, TowerScorer(model, seen), what)

    def compare_with_baselines(self) -> None:
        """Compare the model with all baselines that the catalogue allows."""
        made, self.missing = baselines(self.split.final.seen, self.device)
        self.notes += [f"{name} was not measured: {why}" for name, why in self.missing.items()]
        for name, scorer in made.items():
            self.compare_with(name, scorer)
