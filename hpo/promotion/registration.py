"""Registration of a measured model: a version, and a run of its own that holds the evidence."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.config import Locations
from hpo.errors import PromotionError
from hpo.gate import GateFindings, Refit, findings as gate
from hpo.promotion.model_card import model_card
from hpo.registry import Recipe, manifest_tag, save_pyfunc, versions as registry
from hpo.study import PROMOTION_OF, environment_facts
from recsys.artifacts import (
    PairScorer,
    experiment_id,
    log_checkpoint,
    log_metrics,
    log_model,
    log_pair_scorer,
    log_params,
    open_run,
)
from recsys.data import Split

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

EXAMPLE_USER = "hpo.example_user"
TEACHERS = "hpo.teachers"  # version tag: number of models that its refit learned from
CARD = "model_card.md"
TEST = "test_"  # prefix of metric names in the version's run


def make_place(client: MlflowClient, locations: Locations, model: str) -> None:
    """Make the experiment and the registered model that a version needs, unless they are there.

    Args:
        client: client of MLflow.
        locations: addresses of the study and of its runs.
        model: name of the registered model.

    Raises:
        MlflowException: MLflow does not answer or refuses to be written.
    """
    experiment_id(client, locations.experiment)
    registry.make_model(client, model)


def make_version(
    client: MlflowClient,
    locations: Locations,
    model: str,
    recipe: Recipe,
    split: Split,
    final: Refit,
    tags: Mapping[str, str],
) -> ModelVersion:
    """Log a model and its findings in a new run, and register the model.

    Runs that killed promotions of the same study left RUNNING are ended first. The caller holds the
    registry lock. `finish_version` sets the alias and logs the test figures.

    Args:
        client: client of MLflow.
        locations: addresses of the study and of its runs.
        model: name of the registered model.
        recipe: the recipe that was refit.
        split: the split of the data.
        final: the refit with its findings.
        tags: further tags of the version; the tags on its origin are added to them.

    Returns:
        The new version, as yet without an alias.
    """
    experiment = experiment_id(client, locations.experiment)
    registry.fail_unfinished(client, experiment, recipe.source.study_uid)
    run_tags = {
        PROMOTION_OF: recipe.run_tag,
        "hpo.kind": "promotion",
        "hpo.objective": recipe.source.objective,
        "optuna.study": recipe.source.study,
    }
    if parent := registry.study_run(client, experiment, recipe.source.study_uid):
        run_tags["mlflow.parentRunId"] = parent
    found = final.findings
    name = f"{'retraining' if found.drift else 'promotion'} of trial {recipe.source.trial}"
    with open_run(client, experiment, name, run_tags) as run:
        refit = {"refit_epochs": recipe.epochs, "refit_teachers": recipe.source.promotion.teachers}
        log_params(client, run, {**recipe.config.as_dict(), **refit})
        tags = {**tags, **_version_tags(recipe, split, final)}
        card = model_card(recipe, split, found, tags["hpo.git_commit"], locations)
        _log_texts(client, run, {gate.FILE: gate.to_json(found), CARD: card})
        log_checkpoint(client, run, final.folder)
        log_pair_scorer(client, experiment, run, PairScorer.of(final.model, split.interactions))
        save = partial(save_pyfunc, final.folder, split.interactions.user_ids[0])
        model_id = log_model(client, experiment, run, "recommender", save)
        return registry.register(client, model, model_id, run, tags, card)


def finish_version(
    client: MlflowClient, version: ModelVersion, force: str | None, now_ms: int
) -> tuple[ModelVersion, GateFindings]:
    """Complete a version that `make_version` has registered, even if its promotion was killed.

    Test figures are logged last, so that a run without a version never shows test figures.

    Args:
        client: client of MLflow.
        version: the version to complete.
        force: reason to make it the champion whatever the gate decides; None: the gate decides.
        now_ms: time of the test figures, in milliseconds since 1970.

    Returns:
        The version in its present state, and the findings of its gate.

    Raises:
        PromotionError: the findings in the version's run are missing or damaged.
    """
    found = read_findings(client, version)
    figures = _figures(found)
    held = client.get_run(version.run_id).data.metrics
    if missing := {name: value for name, value in figures.items() if name not in held}:
        log_metrics(client, version.run_id, missing, now_ms)
    registry.apply_outcome(client, version, force)
    return client.get_model_version(version.name, version.version), found


def read_findings(client: MlflowClient, version: ModelVersion) -> GateFindings:
    """Read the findings of the gate from a version's run.

    Args:
        client: client of MLflow.
        version: the version.

    Raises:
        PromotionError: the file is missing or damaged.
    """
    if gate.FILE not in {file.path for file in client.list_artifacts(version.run_id)}:
        raise PromotionError(
            f"{version.name} version {version.version}: its run has no {gate.FILE}, so its "
            "findings are unknown; delete the version in MLflow and promote again"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(version.run_id, gate.FILE, folder)
        return gate.from_json(Path(path).read_text(encoding="utf-8"))


def _log_texts(client: MlflowClient, run: str, texts: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8")
            client.log_artifact(run, str(path))


def _figures(found: GateFindings) -> dict[str, float]:
    figures = {TEST + name: value for name, value in found.lists.get(gate.OURS, {}).items()}
    figures |= {TEST + name: interval.mean for name, interval in found.test.items()}
    for comparison in found.comparisons:
        gain, name = comparison.gain, f"{TEST}gain_over_{comparison.rival}"
        figures |= {name: gain.mean, f"{name}_low": gain.low, f"{name}_high": gain.high}
    if found.race:
        figures[f"race_{found.objective}"] = found.race.won.mean
        if (luck := found.race.luck) is not None:
            figures["race_luck"] = luck
    if found.index:
        figures["index_recall_at_10"] = found.index.recall_at_10
    return {**figures, "model_mb": found.model_mb, "latency_ms": found.latency_ms}


def _version_tags(recipe: Recipe, split: Split, final: Refit) -> dict[str, str]:
    found = final.findings
    verdict = {} if found.reason is None else {registry.REASON: found.reason}
    compared = {} if found.champion is None else {registry.COMPARED: str(found.champion)}
    return {
        **recipe.version_tags(split.fingerprint),
        **verdict,
        **compared,
        "optuna.study": recipe.source.study,
        "hpo.objective": recipe.source.objective,
        registry.RULES: recipe.rules,
        TEACHERS: str(recipe.source.promotion.teachers),
        "hpo.data_fingerprint": split.interactions.fingerprint,
        EXAMPLE_USER: split.interactions.user_ids[0],
        "hpo.git_commit": environment_facts().get("git_commit", "unknown"),
        **manifest_tag(final.folder),
    }
