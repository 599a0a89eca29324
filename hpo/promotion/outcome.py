"""Settings and outcome of a promotion, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from hpo.config import MAX_TEACHERS
from hpo.errors import SettingsError
from hpo.gate import GateFindings
from hpo.registry import CHAMPION, Recipe
from recsys.config import TrainConfig


def check_dry_run(*, dry_run: bool, force: str | None) -> None:
    """Refuse to force a champion in a dry run, which writes nothing.

    Args:
        dry_run: True if nothing may be written.
        force: the reason to force a champion; None: the gate decides.

    Raises:
        SettingsError: both are given.
    """
    if dry_run and force is not None:
        raise SettingsError("force changes the registry, a dry run does not: give one of them")


@dataclass(frozen=True)
class PromotionSettings:
    """Settings of one promotion.

    Attributes:
        candidates: number of the study's best trials that race, at least 1; in a smaller study all
            trials race.
        seeds: number of trainings per candidate, at least 1.
        dry_run: measure and judge, but write nothing into MLflow.
        force: reason to make the model the champion whatever the gate decides; None: the gate
            decides.
        model: name of the registered model; None: the one in the study's [promotion].
        teachers: number of models for the refit to learn from, see `recsys.training.fit.train`;
            None: the one in the study's [promotion].
    """

    candidates: int = 5
    seeds: int = 3
    dry_run: bool = False
    force: str | None = None
    model: str | None = None
    teachers: int | None = None

    def __post_init__(self) -> None:
        """Check that the settings are within their ranges and go together.

        Raises:
            SettingsError: `teachers` is out of range, or both `force` and `dry_run` are given.
        """
        n = 0 if self.teachers is None else self.teachers
        if type(n) is not int or not 0 <= n <= MAX_TEACHERS:
            raise SettingsError(f"teachers={n!r}: must be a whole number in 0..{MAX_TEACHERS}")
        check_dry_run(dry_run=self.dry_run, force=self.force)


@dataclass(frozen=True)
class Registered:
    """The place of a model in the registry.

    Attributes:
        model: name of the registered model.
        version: version number, from 1.
        is_new: False if the same trial had been measured before.
        run_id: id of the run that holds the evidence.
        role: alias that the version was given, champion or challenger; by now another version may
            have this alias.
        refused: reason of the gate's refusal, in one sentence; None: the model passed.
        forced: reason given for making the version the champion against the gate; None: nobody did.
        champion: version that has the champion alias now; None: no version has it.
        rolled_back: True if the version was the champion once and was rolled back by hand.
    """

    model: str
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
    """Findings and outcome of a promotion or a retraining.

    Attributes:
        study: name of the study.
        trial: number of the trial that the config comes from.
        config: hyperparameters of the model.
        epochs: number of epochs of the refit.
        validation: metrics of the trial at its best epoch in the study; empty for a retraining.
        findings: race or drift, test figures, and the decision of the gate.
        example_user: id of a user whom the model knows.
        registered: place of the model in the registry; None after a dry run.
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
        """Return the promotion of a recipe's model, without the trial's validation metrics.

        Args:
            recipe: the recipe that was refit.
            found: findings of the gate.
            example_user: id of a user whom the model knows.
            registered: place of the model in the registry; None after a dry run.
        """
        source = recipe.source
        return cls(
            source.study, source.trial, recipe.config, recipe.epochs, {}, found, example_user,
            registered,
        )  # fmt: skip

    @property
    def test(self) -> dict[str, float]:
        """Return the metrics of exactly these weights on test."""
        return {name: interval.mean for name, interval in self.findings.test.items()}

    @property
    def passed(self) -> bool:
        """Return True if the model was made the champion, by merit, by force or by hand in MLflow.

        After a dry run, return True if the gate found no reason against the model.
        """
        found = self.registered
        if found is None:
            return self.findings.reason is None
        return found.role == CHAMPION or found.champion == found.version
