"""Versions of the model in MLflow's registry: found by what they come from, named by alias.

Aliases keep no history, so the champion of before stays reachable as `previous`. Every function
may be killed at any point and called again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MODEL = "two-tower"
CHAMPION = "champion"
PREVIOUS = "previous"
DONE = "hpo.promotion_done"  # tag of a version whose aliases were set

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second: no such alias


def find_version(client: MlflowClient, tags: Mapping[str, str]) -> ModelVersion | None:
    """The oldest version that carries all these tags; None if there is none."""
    terms = [f"name = '{MODEL}'", *(_is(name, value) for name, value in tags.items())]
    found = client.search_model_versions(" and ".join(terms))
    return min(found, key=lambda version: int(version.version), default=None)


def register(
    client: MlflowClient, model_id: str, run_id: str, tags: Mapping[str, str], description: str
) -> ModelVersion:
    """A new version of a logged model. The tags come with it, so a kill leaves none without."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            MODEL, description="Two-tower recommender, promoted by `python -m hpo.promote`."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # Not models:/ID: MLflow would look it up at the global address instead of the client's.
    source = client.get_logged_model(model_id).artifact_location
    return client.create_model_version(
        MODEL, source, run_id, dict(tags), description=description, model_id=model_id
    )


def crown(client: MlflowClient, version: ModelVersion) -> None:
    """Make a version the champion, once: a later champion is never pushed aside.

    Its run is FINISHED afterwards, also if the process that registered it was killed.
    """
    if version.tags.get(DONE):
        return
    champion = alias_holder(client, CHAMPION)
    if champion != str(version.version):
        if champion is not None:
            client.set_registered_model_alias(MODEL, PREVIOUS, champion)
        client.set_registered_model_alias(MODEL, CHAMPION, version.version)
    if client.get_run(version.run_id).info.status != "FINISHED":
        client.set_terminated(version.run_id, "FINISHED")
    client.set_model_version_tag(MODEL, version.version, DONE, "true")


def alias_holder(client: MlflowClient, alias: str) -> str | None:
    """Number of the version that has the alias; None if nobody has it."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(MODEL, alias).version)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        return None


def fail_unfinished(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> None:
    """End the runs and models that a killed promotion left behind. The caller holds the lock."""
    terms = [*(_is(name, value) for name, value in tags.items()), "attributes.status = 'RUNNING'"]
    for run in client.search_runs([experiment], " and ".join(terms)):
        for model in client.search_logged_models(
            [experiment], f"source_run_id = '{run.info.run_id}'"
        ):
            if model.status == "PENDING":
                client.finalize_logged_model(model.model_id, "FAILED")
        client.set_tag(run.info.run_id, "hpo.cause", "the promotion was killed")
        client.set_terminated(run.info.run_id, "FAILED")


def study_run(client: MlflowClient, experiment: str, uid: str) -> str | None:
    """The run of the study itself, if the mirror has made one."""
    terms = f"{_is('hpo.study_uid', uid)} and {_is('hpo.kind', 'study')}"
    found = client.search_runs([experiment], terms, max_results=1)
    return str(found[0].info.run_id) if found else None


def _is(tag: str, value: str) -> str:
    return f"tags.`{tag}` = '{value}'"
