"""From a study's best trials to a version in the registry, measured on test once.

The best trials race with fresh seeds on validation; the winner is trained again on train +
validation for its best epoch count; then test is read, and the gate decides whether this is the
new champion or a challenger. A promotion may be killed at any point and started again: there
will be one version of a trial, and its verdict stands.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hpo import registry
from hpo.candidate import Candidate, default_candidate, top_candidates
from hpo.data import load_split
from hpo.errors import PromotionError, TrackingError
from hpo.gate.findings import Findings
from hpo.gate.outcome import Order, Promotion, Registered
from hpo.gate.race import Race, run_race
from hpo.gate.refit import Refit, refit
from hpo.gate.rivals import Champion, load_champion
from hpo.gate.training import default_device
from hpo.locks import exclusive_registry
from hpo.settings import Places
from hpo.storage import existing_storage
from hpo.study import load_study
from hpo.versions import EXAMPLE_USER, make_version, settle
from recsys.mlflow_client import open_client, sqlite_file, tracking_errors
from recsys.split import Split

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from optuna import Study

RACE = "hpo.race"  # tag of a version: which trials raced, with how many seeds


def promote(
    places: Places,
    study_name: str | None,
    *,
    data: str | None = None,
    order: Order | None = None,
    say: Callable[[str], None] = print,
) -> Promotion:
    """Race, refit, measure and register; nothing new if that was done before.

    Args:
        places: where the study and MLflow live.
        study_name: None: the newest.
        data: name or path of the study's data, if it has moved.
        order: None: five candidates, three seeds.
        say: is told how it goes on.

    Raises:
        StudyError: there is no such study.
        PromotionError: no trial is complete, all diverge, or the data is not what the study was
            made on.
        DivergedError: the refit diverges.
        TrackingError: MLflow does not answer.
    """
    order = order or Order()
    study = load_study(existing_storage(places.storage), study_name)
    candidates = top_candidates(study, order.candidates)
    promoter = _Promoter(places, study, order, say)
    if order.dry_run:
        return promoter.rehearse(candidates, data)
    with exclusive_registry(places.storage, places.tracking_uri, say):
        return promoter.run(candidates, data)


def roll_back(places: Places, say: Callable[[str], None] = print) -> tuple[int, int]:
    """Make the previous champion the champion again, see `hpo.registry.rollback`.

    Raises:
        PromotionError: there is no previous champion, or no MLflow store.
        TrackingError: MLflow does not answer.
    """
    file = sqlite_file(places.tracking_uri)
    if file is not None and not file.exists():
        raise PromotionError(f"{file}: no MLflow store there; say where it is with --tracking-uri")
    client = open_client(places.tracking_uri)
    with (
        exclusive_registry(places.storage, places.tracking_uri, say),
        tracking_errors(places.tracking_uri),
    ):
        return registry.rollback(client)


@dataclass(frozen=True, eq=False)
class _Promoter:
    """One promotion; only `run` writes, under the registry's lock."""

    places: Places
    study: Study
    order: Order
    say: Callable[[str], None]

    @cached_property
    def client(self) -> MlflowClient:
        """Opened when it is needed: that makes a missing database, which no dry run should.

        It must be the first that imports mlflow, see `recsys.mlflow_client`.
        """
        return open_client(self.places.tracking_uri)

    def run(self, candidates: Sequence[Candidate], data: str | None) -> Promotion:
        """The version of this race, or of its winner, is made only if there is none."""
        tags = {**_study_tags(candidates[0]), RACE: _race_key(candidates, self.order.seeds)}
        if version := self._find(tags):
            trial = version.tags["optuna.trial"]
            winner = next(one for one in candidates if str(one.trial) == trial)
            return self._settle(winner, version, is_new=False)
        split, champion = load_split(candidates[0].record, data), self._champion()
        race, winner = self._race(candidates, split)
        if version := self._find(winner.version_tags):
            return self._settle(winner, version, is_new=False)
        with tempfile.TemporaryDirectory() as temp:
            final = self._refit(race, winner, champion, split, Path(temp) / "model")
            with tracking_errors(self.places.tracking_uri):
                version = make_version(
                    self.client, self.places.experiment, winner, split, final, tags
                )
        return self._settle(winner, version, is_new=True)

    def rehearse(self, candidates: Sequence[Candidate], data: str | None) -> Promotion:
        """All but the registry."""
        split, champion = load_split(candidates[0].record, data), self._champion()
        race, winner = self._race(candidates, split)
        with tempfile.TemporaryDirectory() as temp:
            final = self._refit(race, winner, champion, split, Path(temp) / "model")
        return _promotion(winner, final.findings, split.interactions.user_ids[0], None)

    def _find(self, tags: Mapping[str, str]) -> ModelVersion | None:
        client = self.client
        with tracking_errors(self.places.tracking_uri):
            return registry.find_version(client, tags)

    def _race(self, candidates: Sequence[Candidate], split: Split) -> tuple[Race, Candidate]:
        race = run_race(candidates, split.tuning, self.order.seeds, default_device(), self.say)
        return race, next(one for one in candidates if one.trial == race.winner)

    def _refit(
        self, race: Race, winner: Candidate, champion: Champion | None, split: Split, folder: Path
    ) -> Refit:
        default = default_candidate(self.study)
        return refit(race, winner, default, champion, split, folder, self.say)

    def _champion(self) -> Champion | None:
        """Who has the alias now; asked before the race, so that no training is lost for it."""
        file = sqlite_file(self.places.tracking_uri)
        if file is not None and not file.exists():
            return None
        client = self.client
        with tracking_errors(self.places.tracking_uri):
            number = registry.alias_holder(client, registry.CHAMPION)
        if number is None:
            return None
        try:
            return load_champion(self.places.tracking_uri, registry.MODEL, int(number))
        except TrackingError as error:
            problem = f"the champion (version {number}) cannot be fetched: {error}"
            if self.order.force is None:
                raise TrackingError(
                    f"{problem}; if its files are lost, promote with --force REASON"
                ) from None
            return Champion(int(number), None, str(error))

    def _settle(self, winner: Candidate, version: ModelVersion, *, is_new: bool) -> Promotion:
        with tracking_errors(self.places.tracking_uri):
            now_ms = time.time_ns() // 1_000_000
            version, found = settle(self.client, version, self.order.force, now_ms)
            champion = registry.alias_holder(self.client, registry.CHAMPION)
        tags = version.tags
        registered = Registered(
            version=int(version.version),
            is_new=is_new,
            run_id=version.run_id,
            role=tags[registry.SETTLED],
            refused=tags.get(registry.REASON),
            forced=tags.get(registry.FORCED),
            champion=None if champion is None else int(champion),
        )
        return _promotion(winner, found, tags[EXAMPLE_USER], registered)


def _study_tags(candidate: Candidate) -> dict[str, str]:
    tags = candidate.version_tags
    del tags["optuna.trial"]
    return tags


def _race_key(candidates: Sequence[Candidate], n_seeds: int) -> str:
    return f"trials {' '.join(str(one.trial) for one in candidates)}, {n_seeds} seeds"


def _promotion(
    winner: Candidate, found: Findings, example_user: str, registered: Registered | None
) -> Promotion:
    return Promotion(
        study=winner.study,
        trial=winner.trial,
        config=winner.config,
        epochs=winner.refit_epochs,
        validation=winner.validation,
        findings=found,
        example_user=example_user,
        registered=registered,
    )
