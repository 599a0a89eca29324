"""From a study's best trials to a version in the registry, measured on test once.

The best trials race with fresh seeds on validation; the winner is trained again on train +
validation for twice its best epoch; then test is read, and the gate decides whether this is the
new champion or a challenger. A promotion may be killed at any point and started again: there
will be one version of a trial, and its verdict stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpo.config.locations import Locations, require_store
from hpo.gate.race import Race, run_race
from hpo.gate.refit import Occasion
from hpo.gate.rivals import check_baselines
from hpo.promotion.outcome import Order, Promotion
from hpo.promotion.promoter import Promoter, changing_registry
from hpo.registry import versions as registry
from hpo.registry.recipe import Recipe
from hpo.study.candidates import Candidate, default_candidate, top_candidates
from hpo.study.data import load_split
from hpo.study.lifecycle import load_study
from hpo.study.storage import existing_storage
from recsys.artifacts.mlflow_client import tracking_errors
from recsys.cli.formatting import default_device
from recsys.data.splitting import Split

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from optuna import Study

RACE = "hpo.race"  # tag of a version: which trials raced, with how many seeds


def promote_study(
    locations: Locations,
    study_name: str | None,
    *,
    data: str | None = None,
    order: Order | None = None,
    say: Callable[[str], None] = print,
) -> Promotion:
    """Race, refit, measure and register; nothing new if that was done before.

    Args:
        locations: where the study and MLflow live.
        study_name: None: the only one.
        data: name or path of the study's data, if it has moved.
        order: None: five candidates, three seeds.
        say: is told how it goes on.

    Raises:
        StudyError: there is no such study, or there are several and none is named.
        SettingsError: the gate asks for a baseline that cannot be measured, and nobody forces.
        PromotionError: no trial is complete, all diverge, or the data is not what the study was
            made on.
        DivergedError: the refit diverges.
        TrackingError: MLflow does not answer.
    """
    order = order or Order()
    study = load_study(existing_storage(locations.storage), study_name)
    candidates = top_candidates(study, order.candidates)
    if order.force is None:
        record = candidates[0].record
        check_baselines(record.config.promotion, record.counts["n_items"])
    promoter = Promoter(locations, order.force, say)
    promotion = _Promotion(promoter, study, order, candidates, data)
    if order.dry_run:
        return promotion.run()
    with changing_registry(locations, say):
        return promotion.run()


def roll_back(locations: Locations, say: Callable[[str], None] = print) -> tuple[int, int]:
    """Make the previous champion the champion again, see `hpo.registry.versions.rollback`.

    Raises:
        PromotionError: there is no previous champion.
        NoStoreError: the MLflow database is missing.
        TrackingError: MLflow does not answer.
    """
    require_store(locations.tracking_uri)
    client = Promoter(locations, None, say).client
    with (
        changing_registry(locations, say),
        tracking_errors(locations.tracking_uri),
    ):
        return registry.rollback(client)


@dataclass(frozen=True, eq=False)
class _Promotion:
    """One promotion; under the registry's lock, unless it is a dry run, which writes nothing."""

    promoter: Promoter
    study: Study
    order: Order
    candidates: Sequence[Candidate]
    data: str | None

    def run(self) -> Promotion:
        """The version of this race, or of its winner, is made only if there is none."""
        n_seeds, first = self.order.seeds, self.candidates[0]
        tags = {"hpo.study_uid": first.record.uid, RACE: _race_key(self.candidates, n_seeds)}
        tags["hpo.split_fingerprint"] = first.record.split_fingerprint
        if version := self._find(tags):
            trial = version.tags["optuna.trial"]
            winner = next(one for one in self.candidates if str(one.trial) == trial)
            return self._settle(winner, version)
        return self._measure(tags)

    def _find(self, tags: Mapping[str, str]) -> ModelVersion | None:
        """The version with these tags; a dry run finds none that a killed call left unsettled."""
        if not self.order.dry_run:
            return self.promoter.find(tags)
        version = self.promoter.find(tags) if self.promoter.has_store else None
        return version if version and registry.SETTLED in version.tags else None

    def _measure(self, tags: Mapping[str, str]) -> Promotion:
        split, champion = load_split(self.candidates[0].record, self.data), self.promoter.champion()
        race, winner = self._race(split)
        recipe = Recipe.of_candidate(winner, self.data)
        if version := self._find(recipe.version_tags(split.fingerprint)):
            return self._settle(winner, version)
        occasion = Occasion(race, default_candidate(self.study))
        kept = None if self.order.dry_run else tags
        found = self.promoter.measure(recipe, occasion, champion, split, kept)
        return replace(found, validation=winner.validation)

    def _race(self, split: Split) -> tuple[Race, Candidate]:
        n_seeds, say = self.order.seeds, self.promoter.say
        race = run_race(self.candidates, split.tuning, n_seeds, default_device(), say)
        return race, next(one for one in self.candidates if one.trial == race.winner)

    def _settle(self, winner: Candidate, version: ModelVersion) -> Promotion:
        found = self.promoter.finish(Recipe.of_candidate(winner), version, is_new=False)
        return replace(found, validation=winner.validation)


def _race_key(candidates: Sequence[Candidate], n_seeds: int) -> str:
    return f"trials {' '.join(str(one.trial) for one in candidates)}, {n_seeds} seeds"
