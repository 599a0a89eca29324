"""Promotion of a study's best trial to a version in the registry, measured on test once.

The best trials race with fresh seeds on validation; the winner is trained again on train +
validation for twice its best epoch; then test is read, and the gate decides whether the model
becomes the champion or a challenger. Promotion is restartable: after a kill, the same call
completes it. Each trial gets exactly one version of each
registered model, and the decision on it is never made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpo.config import MODEL, Locations, NotifyConfig, command, require_store
from hpo.gate import Race, RefitContext, check_baselines, run_race
from hpo.notices import Notice, deliver, stored_receivers
from hpo.promotion.outcome import Promotion, PromotionSettings, Registered
from hpo.promotion.promoter import Promoter, changing_registry
from hpo.promotion.registration import TEACHERS
from hpo.registry import Recipe, versions as registry
from hpo.study import (
    COUNTED,
    Candidate,
    StudyRecord,
    default_candidate,
    existing_storage,
    load_named,
    load_split,
    top_candidates,
)
from hpo.tracking import mlflow_base, study_links
from recsys.artifacts import tracking_errors
from recsys.cli import default_device
from recsys.data import Split
from recsys.messages import count

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from optuna import Study

RACE = "hpo.race"  # version tag: numbers of the trials in the race, and number of seeds


def promote_study(
    locations: Locations,
    study_name: str | None,
    *,
    data: str | None = None,
    settings: PromotionSettings | None = None,
    say: Callable[[str], None] = print,
    notify: NotifyConfig | None = None,
) -> Promotion:
    """Race, refit, measure and register the winner of a study, unless that was done before.

    Args:
        locations: addresses of the study and of MLflow.
        study_name: name of the study; None: the only one.
        data: name or path of the study's data, if it has moved.
        settings: settings of the promotion; None: five candidates, three seeds.
        say: called with each line of progress.
        notify: receivers of a message on a new version; None: those of the study's record.

    Returns:
        The findings and the outcome; those of the earlier promotion if the race or its winner
        already has a version.

    Raises:
        StudyError: there is no such study, or there are several and none is named.
        SettingsError: the study tunes another model than the two-tower, or the gate asks for a
            baseline that cannot be measured, and `settings.force` is None.
        PromotionError: no trial is complete, all candidates diverge, or the data differs from the
            study's.
        DivergedError: the refit diverges.
        TrackingError: MLflow does not answer.
    """
    settings = settings or PromotionSettings()
    study = load_named(existing_storage(locations.storage), study_name)
    record = StudyRecord.of(study)
    record.config.require_two_tower("promotion registers")
    candidates = top_candidates(study, settings.candidates)
    if settings.force is None:
        check_baselines(record.config.promotion, record.counts["n_items"])
    n_finished = len(study.get_trials(deepcopy=False, states=COUNTED))
    if n_finished < record.config.n_trials:
        asked = count(record.config.n_trials, "trial")
        say(f"study {study.study_name} has finished {n_finished} of {asked} so far")
    model = settings.model or record.config.promotion.model
    promoter = Promoter(locations, settings.force, say, model)
    promotion = _Promotion(promoter, study, settings, candidates, data)
    if settings.dry_run:
        return promotion.run()
    with changing_registry(locations, say):
        found = promotion.run()
    receivers = notify or stored_receivers(record, locations.storage, say)
    if receivers and found.registered and (found.registered.is_new or settings.force):
        deliver(receivers, _notice(study, record, found, found.registered, locations), say)
    return found


def _notice(
    study: Study, record: StudyRecord, found: Promotion, place: Registered, locations: Locations
) -> Notice:
    """Return the message on a version."""
    name = study.study_name
    refused = f"; refused: {place.refused}" if place.refused else ""
    what = f"trial {found.trial} of study {name} is {place.model} version {place.version}"
    page = f"{mlflow_base(locations)}/#/models/{place.model}/versions/{place.version}"
    is_champion = place.role == registry.CHAMPION
    other = {} if place.model == record.config.promotion.model else {"--model": place.model}
    return Notice(
        event="promoted",
        study=name,
        state=place.role,
        text=f"{what}, {place.role}{refused}",
        objective=record.config.objective,
        n_trials=record.config.n_trials,
        best={
            "trial": found.trial,
            "value": found.validation.get(record.config.objective),
            "params": found.config.as_dict(),
        },
        version={
            "model": place.model,
            "number": place.version,
            "role": place.role,
            "refused": place.refused,
            "test": found.test,
        },
        links=study_links(study._study_id, locations, page),
        next=command("serve", locations=locations, more=_serving(place.model))
        if is_champion
        else command("promote", name, locations, more={**other, "--force": "REASON"}),
    )


def _serving(model: str) -> dict[str, str]:
    """Return the option of hpo.serve that names the champion of a model, unless it is usual."""
    return {} if model == MODEL else {"--model": f"models:/{model}@{registry.CHAMPION}"}


def model_of(locations: Locations, study_name: str) -> str:
    """Return the name of the registered model that a study's winners are promoted to.

    Args:
        locations: address of the study.
        study_name: name of the study.

    Raises:
        StudyError: there is no such study.
    """
    study = load_named(existing_storage(locations.storage), study_name)
    return StudyRecord.of(study).config.promotion.model


def roll_back(
    locations: Locations, say: Callable[[str], None] = print, model: str = MODEL
) -> tuple[int | None, int]:
    """Make the previous champion the champion again, see `hpo.registry.versions.rollback`.

    Args:
        locations: addresses of the study's storage and of MLflow.
        say: called with one line if the registry lock is held by another process.
        model: name of the registered model.

    Returns:
        Number of the version that was rolled back, and of the champion now. The first is None if no
        version was the champion, for instance since it was deleted; both are equal if a killed call
        had already moved the alias.

    Raises:
        PromotionError: there is no previous champion, or an alias was set by hand.
        NoStoreError: the MLflow database is missing.
        TrackingError: MLflow does not answer.
    """
    require_store(locations.tracking_uri)
    client = Promoter(locations, None, say).client
    with (
        changing_registry(locations, say),
        tracking_errors(locations.tracking_uri),
    ):
        return registry.rollback(client, model)


@dataclass(frozen=True, eq=False)
class _Promotion:
    """One promotion. The caller holds the registry lock, except for a dry run, which only reads."""

    promoter: Promoter
    study: Study
    settings: PromotionSettings
    candidates: Sequence[Candidate]
    data: str | None

    def run(self) -> Promotion:
        """Return the promotion; measure only if neither this race nor its winner has a version."""
        n_seeds, first = self.settings.seeds, self.candidates[0]
        tags = {"hpo.study_uid": first.record.uid, RACE: _race_key(self.candidates, n_seeds)}
        tags["hpo.split_fingerprint"] = first.record.split_fingerprint
        if version := self._find(tags):
            trial = version.tags["optuna.trial"]
            winner = next(one for one in self.candidates if str(one.trial) == trial)
            return self._settle(winner, version)
        return self._measure(tags)

    def _find(self, tags: Mapping[str, str]) -> ModelVersion | None:
        """Return the version with these tags; a dry run ignores those of unfinished promotions."""
        if not self.settings.dry_run:
            return self.promoter.find(tags)
        version = self.promoter.find(tags) if self.promoter.has_store else None
        return version if version and registry.SETTLED in version.tags else None

    def _measure(self, tags: Mapping[str, str]) -> Promotion:
        split, champion = load_split(self.candidates[0].record, self.data), self.promoter.champion()
        race, winner = self._race(split)
        recipe = Recipe.of_candidate(winner, self.data, self.settings.teachers)
        if version := self._find(recipe.version_tags(split.fingerprint)):
            return self._settle(winner, version)
        context = RefitContext(race, default_candidate(self.study))
        kept = None if self.settings.dry_run else tags
        found = self.promoter.measure(recipe, context, champion, split, kept)
        return replace(found, validation=winner.validation)

    def _race(self, split: Split) -> tuple[Race, Candidate]:
        n_seeds, say = self.settings.seeds, self.promoter.say
        race = run_race(self.candidates, split.tuning, n_seeds, default_device(), say)
        return race, next(one for one in self.candidates if one.trial == race.winner)

    def _settle(self, winner: Candidate, version: ModelVersion) -> Promotion:
        recipe = Recipe.of_candidate(winner, teachers=self.settings.teachers)
        had, asked = version.tags.get(TEACHERS, "0"), recipe.source.promotion.teachers
        if str(asked) != had:
            self.promoter.say(
                f"version {version.version} was refit with {count(int(had), 'teacher')}; a trial "
                f"is measured once, so teachers = {asked} changes nothing"
            )
        is_dry = self.settings.dry_run
        found = self.promoter.finish(recipe, version, is_new=False, read_only=is_dry)
        return replace(found, validation=winner.validation)


def _race_key(candidates: Sequence[Candidate], n_seeds: int) -> str:
    return f"trials {' '.join(str(one.trial) for one in candidates)}, {n_seeds} seeds"
