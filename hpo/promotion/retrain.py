"""Retraining: the champion's recipe on today's data, judged by the gate of promotions.

Retraining reads the registry only: a promoted model carries its recipe. It is restartable: after a
kill, the same call completes it, and the same data beside the same champion gives one version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hpo.config import MODEL, Locations, require_store
from hpo.errors import PromotionError
from hpo.gate import RefitContext, check_baselines, measure_drift
from hpo.promotion.outcome import Promotion, check_dry_run
from hpo.promotion.promoter import Promoter, changing_registry
from hpo.registry import Recipe, versions as registry
from hpo.study import load_data, with_source
from recsys.artifacts import Checkpoint
from recsys.data import Split


@dataclass(frozen=True)
class UnchangedData:
    """The result of a retraining whose data equals the champion's: nothing was trained.

    Attributes:
        version: version of the champion.
        fingerprint: fingerprint of the data.
    """

    version: int
    fingerprint: str


def retrain_champion(
    locations: Locations,
    *,
    data: str | None = None,
    dry_run: bool = False,
    force: str | None = None,
    model: str = MODEL,
    say: Callable[[str], None] = print,
) -> Promotion | UnchangedData:
    """Train the champion's recipe on today's data, measure it once, and register it.

    Args:
        locations: address of MLflow, and of the storage, whose folder holds the lock of a tracking
            server.
        data: name or path of the data, if it has moved.
        dry_run: measure and judge, but write nothing into MLflow.
        force: reason to make the model the champion whatever the gate decides; None: the gate
            decides.
        model: name of the registered model.
        say: called with each line of progress.

    Returns:
        The findings and the outcome; `UnchangedData` if the champion was made on the same data.

    Raises:
        NoStoreError: the MLflow database is missing.
        PromotionError: there is no champion, or its files or its recipe cannot be read.
        DataError: the data cannot be read.
        SettingsError: the gate asks for a baseline that cannot be measured, and `force` is None; or
            both `force` and `dry_run` are given.
        DivergedError: the training diverges.
        TrackingError: MLflow does not answer.
    """
    check_dry_run(dry_run=dry_run, force=force)
    require_store(locations.tracking_uri)
    promoter = Promoter(locations, force, say, model)
    if dry_run:
        return _retrain(promoter, data, dry_run=True)
    with changing_registry(locations, say):
        return _retrain(promoter, data, dry_run=False)


def _retrain(promoter: Promoter, data: str | None, *, dry_run: bool) -> Promotion | UnchangedData:
    """Retrain the champion unless its data is unchanged.

    Raises:
        PromotionError: there is no champion, or its files or its recipe cannot be read.
    """
    champion = promoter.champion()
    if champion is None:
        raise PromotionError(
            f"{promoter.model} has no champion to retrain; promote a study first: hpo.promote, "
            "or name another model with --model"
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
        return UnchangedData(champion.version, split.interactions.fingerprint)
    if promoter.force is None:
        check_baselines(recipe.source.promotion, split.interactions.n_items)
    drift = measure_drift(
        champion.version, champion.stored, split.interactions, recipe.source.objective
    )
    context = RefitContext(drift=drift)
    if dry_run:
        return promoter.measure(recipe, context, champion, split, None)
    tags = {registry.RULES: recipe.rules, registry.COMPARED: str(champion.version)}
    if version := promoter.find({**recipe.version_tags(split.fingerprint), **tags}):
        return promoter.finish(recipe, version, is_new=False)
    return promoter.measure(recipe, context, champion, split, tags)


def _today(stored: Checkpoint, which: str, data: str | None) -> tuple[Recipe, Split]:
    """Return the champion's recipe for today's data, and the split of this data."""
    recipe = Recipe.of_model(stored, which)
    source = recipe.source.model_copy(update={"data": with_source(recipe.source.data, data)})
    name, split = load_data(source)
    return replace(recipe, source=source.model_copy(update={"data_name": name})), split


def _finish(promoter: Promoter, recipe: Recipe, version: int) -> None:
    """Complete the champion's version if a kill of its retraining left it unfinished."""
    found = promoter.client.get_model_version(promoter.model, str(version))
    if registry.SETTLED not in found.tags:
        promoter.finish(recipe, found, is_new=False)
