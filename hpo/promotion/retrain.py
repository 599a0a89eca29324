"""The champion's recipe on the data of today, before the same gate that it came through.

The registry alone is asked: a promoted model carries its recipe. A retraining may be killed at
any point and started again; on the same data, beside the same champion, there is one version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hpo.config.locations import Locations, require_store
from hpo.errors import PromotionError
from hpo.gate.drift import measure_drift
from hpo.gate.refit import Occasion
from hpo.gate.rivals import check_baselines
from hpo.promotion.outcome import Promotion
from hpo.promotion.promoter import Promoter, changing_registry
from hpo.registry import versions as registry
from hpo.registry.recipe import Recipe
from hpo.study.data import load_data, moved
from recsys.artifacts.checkpoint import Checkpoint
from recsys.data.splitting import Split


@dataclass(frozen=True)
class Unchanged:
    """The data is what the champion was made on, so nothing was trained."""

    version: int
    fingerprint: str


def retrain_champion(
    locations: Locations,
    *,
    data: str | None = None,
    dry_run: bool = False,
    force: str | None = None,
    say: Callable[[str], None] = print,
) -> Promotion | Unchanged:
    """Train the champion's recipe on today's data, measure it once, and register it.

    Args:
        locations: where MLflow lives; the storage's folder holds a tracking server's lock.
        data: name or path of the data, if it has moved.
        dry_run: measure and judge, but leave MLflow as it is.
        force: make it the champion whatever the gate says, for this reason.
        say: is told how it goes on.

    Raises:
        NoStoreError: the MLflow database is missing.
        PromotionError: there is no champion, or it does not say how it was made.
        DataError: the data cannot be read.
        SettingsError: the gate asks for a baseline that cannot be measured, and nobody forces.
        DivergedError: the training diverges.
        TrackingError: MLflow does not answer.
    """
    require_store(locations.tracking_uri)
    promoter = Promoter(locations, force, say)
    if dry_run:
        return _retrain(promoter, data, dry_run=True)
    with changing_registry(locations, say):
        return _retrain(promoter, data, dry_run=False)


def _retrain(promoter: Promoter, data: str | None, *, dry_run: bool) -> Promotion | Unchanged:
    champion = promoter.champion()
    if champion is None:
        raise PromotionError(
            f"{registry.MODEL} has no champion to retrain; promote a study first: hpo.promote"
        )
    which = f"the champion (version {champion.version})"
    if champion.stored is None:
        raise PromotionError(
            f"{which} cannot be read: {champion.problem}; take it back with hpo.promote --rollback"
        )
    recipe, split = _today(champion.stored, which, data)
    if split.fingerprint == champion.stored.meta["split"]["fingerprint"]:
        if not dry_run:
            _finish(promoter, recipe, champion.version)
        return Unchanged(champion.version, split.interactions.fingerprint)
    if promoter.force is None:
        check_baselines(recipe.source.promotion, split.interactions.n_items)
    drift = measure_drift(
        champion.version, champion.stored, split.interactions, recipe.source.objective
    )
    occasion = Occasion(drift=drift)
    if dry_run:
        return promoter.measure(recipe, occasion, champion, split, None)
    tags = {registry.RULES: recipe.rules, registry.COMPARED: str(champion.version)}
    if version := promoter.find({**recipe.version_tags(split.fingerprint), **tags}):
        return promoter.finish(recipe, version, is_new=False)
    return promoter.measure(recipe, occasion, champion, split, tags)


def _today(stored: Checkpoint, which: str, data: str | None) -> tuple[Recipe, Split]:
    """The champion's recipe for the data of today, and this data."""
    recipe = Recipe.of_model(stored, which)
    source = recipe.source.model_copy(update={"data": moved(recipe.source.data, data)})
    name, split = load_data(source)
    return replace(recipe, source=source.model_copy(update={"data_name": name})), split


def _finish(promoter: Promoter, recipe: Recipe, version: int) -> None:
    """Settle a champion whose retraining was killed just after it was crowned."""
    found = promoter.client.get_model_version(registry.MODEL, str(version))
    if registry.SETTLED not in found.tags:
        promoter.finish(recipe, found, is_new=False)
