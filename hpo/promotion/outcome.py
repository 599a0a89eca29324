"""What is asked of a promotion, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from hpo.gate import GateFindings
from hpo.registry import CHAMPION, Recipe
from recsys.config import TrainConfig


@dataclass(frozen=True)
class Order:
    """What is asked of a promotion.

    Attributes:
        candidates: so many of the study's best trials race, fewer if it has fewer; >= 1.
        seeds: trainings of each; >= 1.
        dry_run: measure and judge, but leave MLflow as it is.
        force: make it the champion whatever the gate says, for this reason.
    """

    candidates: int = 5
    seeds: int = 3
    dry_run: bool = False
    force: str | None = None


@dataclass(frozen=True)
class Registered:
    """Where the model stands in the registry.

    Attributes:
        version: from 1.
        is_new: False if this trial had been measured before.
        run_id: the run that holds the evidence.
        role: the alias that it was given, champion or challenger; somebody may have it by now.
        refused: why it did not pass, in one sentence; None if it did.
        forced: why it is champion all the same.
        champion: the version that has that alias now; None: nobody.
        rolled_back: it was champion once and was taken back by hand.
    """

    version: int
    is_new: bool
    run_id: str
    role: str
    refused: str | None
    forced: str | None
    champion: int | None
    rolled_back: bool = False


@dataclass(frozen=True)
class Promotion:
    """What a promotion, or a retraining, found out and did.

    Attributes:
        study: its name.
        trial: number of the trial whose config it is.
        config: its hyperparameters.
        epochs: how many the refit took.
        validation: what the trial showed at its best epoch in the study, by metric; empty for a
            retraining.
        findings: race or drift, test and verdict.
        example_user: somebody whom the model knows.
        registered: None after a dry run.
    """

    study: str
    trial: int
    config: TrainConfig
    epochs: int
    validation: Mapping[str, float]
    findings: GateFindings
    example_user: str
    registered: Registered | None

    @classmethod
    def of(
        cls, recipe: Recipe, found: GateFindings, example_user: str, registered: Registered | None
    ) -> Self:
        """Of a model by this recipe, without the trial's validation."""
        source = recipe.source
        return cls(
            source.study, source.trial, recipe.config, recipe.epochs, {}, found, example_user,
            registered,
        )  # fmt: skip

    @property
    def test(self) -> dict[str, float]:
        """Metrics of exactly these weights on test."""
        return {name: interval.mean for name, interval in self.findings.test.items()}

    @property
    def passed(self) -> bool:
        """Whether it is, or after a dry run could be, the champion by its own merit or by force."""
        found = self.registered
        if found is None:
            return self.findings.reason is None
        return found.role == CHAMPION
