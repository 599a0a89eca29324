"""Versions of the model in MLflow's registry, found by their origin and named by aliases.

Aliases have no history, so the former champion gets the alias `previous`, and a tag of each
champion names the version that it replaced. Every function may be killed at any point and called
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hpo.errors import PromotionError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
from hpo.study import PROMOTION_OF

CHAMPION = "champion"
CHALLENGER = "challenger"  # the newest version that did not pass
PREVIOUS = "previous"

# Tags of a version.
RULES = "hpo.rules"  # rules of the gate
COMPARED = "hpo.compared_with"  # champion when the version was measured; absent: there was none
REASON = "hpo.refused"  # why the version may not be champion; absent: it may
FORCED = "hpo.forced"  # why the version is champion although it did not pass
REPLACED = "hpo.replaced"  # champion before this version
ROLLED_BACK = "hpo.rolled_back"
SETTLED = "hpo.settled"  # alias given to the version; this tag is written last

MAX_DESCRIPTION = 5000  # characters of MLflow's column
CUT = "\n\n(cut; the whole card is model_card.md of the run)"

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second: alias missing


def find_version(client: MlflowClient, model: str, tags: Mapping[str, str]) -> ModelVersion | None:
    """Return the oldest version that carries all these tags; None if there is none.

    Args:
        client: client of the registry.
        model: name of the registered model.
        tags: value by name of tag.
    """
    terms = [f"name = '{model}'", *(_is(name, value) for name, value in tags.items())]
    found = client.search_model_versions(" and ".join(terms))
    return min(found, key=lambda version: int(version.version), default=None)


def count_measured(client: MlflowClient, split_fingerprint: str) -> int:
    """Return how many versions, of all registered models, were measured on a split's test rows.

    Args:
        client: client of the registry.
        split_fingerprint: fingerprint of the split.
    """
    return len(client.search_model_versions(_is("hpo.split_fingerprint", split_fingerprint)))


def make_model(client: MlflowClient, model: str) -> None:
    """Make a registered model, as yet without versions, unless it is there.

    Args:
        client: client of the registry.
        model: name of the registered model.

    Raises:
        MlflowException: MLflow does not answer or refuses.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            model, description="Two-tower recommender, promoted by `python -m hpo.promote`."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def register(
    client: MlflowClient,
    model: str,
    model_id: str,
    run_id: str,
    tags: Mapping[str, str],
    description: str,
) -> ModelVersion:
    """Register a logged model as a new version, together with its tags.

    A kill therefore leaves no version without tags.

    Args:
        client: client of the registry.
        model: name of the registered model, made if missing.
        model_id: id of the logged model.
        run_id: id of the run that logged the model.
        tags: value by name of tag.
        description: text for people; cut if too long for MLflow on PostgreSQL.

    Raises:
        MlflowException: MLflow does not answer or refuses.
    """
    make_model(client, model)
    if len(description) > MAX_DESCRIPTION:
        description = description[: MAX_DESCRIPTION - len(CUT)] + CUT
    # Not models:/ID: MLflow would look it up at the global address instead of the client's.
    source = client.get_logged_model(model_id).artifact_location
    return client.create_model_version(
        model, source, run_id, dict(tags), description=description, model_id=model_id
    )


def apply_outcome(client: MlflowClient, version: ModelVersion, force: str | None) -> None:
    """Give a version the alias that it earned at the gate, once.

    A version that passed becomes the champion, but only in place of the champion that it was
    compared with. If another version is the champion by now, the comparison says nothing about that
    one, and the version becomes the challenger; this is judged again if the alias moves meanwhile,
    since promotions from other machines may hold another lock. A version that was rolled back gets
    no alias again.
    Aliases that changed after the first call are left alone. The version's run is FINISHED
    afterwards, even if the process that registered the version was killed. The caller holds the
    lock of the registry.

    Args:
        client: client of the registry.
        version: a version with the tags that `register` was given.
        force: reason for making the version the champion whatever the gate says; None: the gate
            decides.
    """
    model, number, tags = version.name, str(version.version), version.tags
    champion = alias_holder(client, model, CHAMPION)
    if SETTLED in tags and (not force or (tags[SETTLED] == CHAMPION and champion == number)):
        return
    if force and ROLLED_BACK in tags:  # so that the tag is always newer than FORCED
        client.delete_model_version_tag(model, number, ROLLED_BACK)
    # taken back before the call that made it champion had ended: that decision stays
    is_taken_back = ROLLED_BACK in tags and not force
    role = CHAMPION if is_taken_back else _earned_role(client, version, force, champion)
    if role == CHAMPION and not is_taken_back:
        if not _crown(client, model, number, champion):
            apply_outcome(client, client.get_model_version(model, number), force)
            return
    elif role == CHALLENGER:
        client.set_registered_model_alias(model, CHALLENGER, number)
    if client.get_run(version.run_id).info.status != "FINISHED":
        client.set_terminated(version.run_id, "FINISHED")
    client.set_model_version_tag(model, number, SETTLED, role)


def _earned_role(
    client: MlflowClient, version: ModelVersion, force: str | None, champion: str | None
) -> str:
    """Return the alias that a version earned, after writing the tag that says why."""
    model, number, tags = version.name, str(version.version), version.tags
    if force := force or tags.get(FORCED):  # an earlier call with this reason was killed
        client.set_model_version_tag(model, number, FORCED, force)
        return CHAMPION
    if REASON in tags:
        return CHALLENGER
    if champion in (number, tags.get(COMPARED)):
        return CHAMPION
    client.set_model_version_tag(model, number, REASON, _overtaken(tags, champion))
    return CHALLENGER


def _crown(client: MlflowClient, model: str, number: str, champion: str | None) -> bool:
    """Make a version the champion in place of another one; return False if that one no longer is.

    MLflow has no way to move an alias only from a version, so the alias is read right before.
    """
    if champion is None and (last := alias_holder(client, model, PREVIOUS)) not in (None, number):
        client.set_model_version_tag(model, number, REPLACED, last)  # the champion was deleted
    if champion not in (None, number):
        client.set_model_version_tag(model, number, REPLACED, champion)
        client.set_registered_model_alias(model, PREVIOUS, champion)
    if alias_holder(client, model, CHAMPION) != champion:
        return False
    if champion != number:
        client.set_registered_model_alias(model, CHAMPION, number)
    if alias_holder(client, model, CHALLENGER) == number:
        client.delete_registered_model_alias(model, CHALLENGER)
    return True


def _overtaken(tags: Mapping[str, str], champion: str | None) -> str:
    was = f"version {tags[COMPARED]}" if COMPARED in tags else "no champion"
    now = f"version {champion} is the champion" if champion else "there is none"
    return f"it was compared with {was}, and {now} by now"


def rollback(client: MlflowClient, model: str) -> tuple[int | None, int]:
    """Make the previous champion the champion again, also if the champion was deleted.

    The version that this champion had replaced becomes `previous`, so rollbacks can be repeated.
    Versions that were rolled back are passed over: a repeated rollback never returns to one. A
    rollback that was killed is completed by the next call. The caller holds the lock of the
    registry.

    Args:
        client: client of the registry.
        model: name of the registered model.

    Returns:
        Number of the version that was taken back, and number of the champion now. The first is None
            if no version was the champion. Both are equal if a killed call had moved the alias
            already.

    Raises:
        PromotionError: there is no previous champion, or the champion has not replaced it.
    """
    champion, previous = (alias_holder(client, model, alias) for alias in (CHAMPION, PREVIOUS))
    if previous is None:
        raise PromotionError(
            f"no version of {model} has the alias {PREVIOUS!r}, so there is nothing to go back "
            "to; set an alias by hand in MLflow, or promote another study"
        )
    if champion is not None and champion != previous:
        _check_replaced(client, model, champion, previous)
        client.set_model_version_tag(model, champion, ROLLED_BACK, f"to version {previous}")
    if champion != previous:
        client.set_registered_model_alias(model, CHAMPION, previous)
    # the alias of one that was taken back may be set by hand, or by an earlier version of us
    if ROLLED_BACK in (_tags(client, model, previous) or {}):
        client.delete_model_version_tag(model, previous, ROLLED_BACK)
    before = _replaced_by(client, model, previous)
    if before is None:
        client.delete_registered_model_alias(model, PREVIOUS)
    else:
        client.set_registered_model_alias(model, PREVIOUS, before)
    return None if champion is None else int(champion), int(previous)


def _check_replaced(client: MlflowClient, model: str, champion: str, previous: str) -> None:
    """Refuse a champion that has not replaced the version with the alias `previous`.

    Raises:
        PromotionError: the alias was set by hand, so `previous` is not what was served before.
    """
    tags = _tags(client, model, champion) or {}
    replaced = tags.get(REPLACED)
    if previous in (replaced, _replaced_by(client, model, champion)):
        return
    if replaced is None and tags.get(SETTLED) == CHAMPION:
        return  # an earlier version of us made it champion after its predecessor was deleted
    found = f"replaced version {replaced}" if replaced else "replaced no version"
    raise PromotionError(
        f"the champion of {model}, version {champion}, {found} by its tag {REPLACED}, but the "
        f"alias {PREVIOUS!r} is on version {previous}: an alias was set by hand; give the alias "
        f"{CHAMPION!r} by hand in MLflow to the version that you want"
    )


def _replaced_by(client: MlflowClient, model: str, number: str) -> str | None:
    """Return the version that a champion has replaced, past those rolled back; None: there is none.

    Versions may have replaced one another in turn, so the search stops at a version seen before.
    """
    seen, tags = {number}, _tags(client, model, number)
    while tags and (before := tags.get(REPLACED)) and before not in seen:
        seen.add(before)
        tags = _tags(client, model, before)
        if tags is not None and ROLLED_BACK not in tags:
            return before
    return None


def _tags(client: MlflowClient, model: str, number: str) -> dict[str, str] | None:
    """Return the tags of a version; None if it does not exist.

    Raises:
        MlflowException: MLflow does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return dict(client.get_model_version(model, number).tags)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        return None


def alias_holder(client: MlflowClient, model: str, alias: str) -> str | None:
    """Return the number of the version that has an alias; None if no version has it.

    Args:
        client: client of the registry.
        model: name of the registered model.
        alias: name of the alias.

    Raises:
        MlflowException: MLflow does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(model, alias).version)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        return None


def fail_unfinished(client: MlflowClient, experiment: str, uid: str) -> None:
    """Mark as FAILED the runs and models that killed promotions of a study left unfinished.

    The caller holds the lock of the registry.

    Args:
        client: client of MLflow.
        experiment: id of the experiment.
        uid: unique id of the study.
    """
    terms = f"tags.`{PROMOTION_OF}` LIKE '{uid}/%' and attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment], terms):
        for model in client.search_logged_models(
            [experiment], f"source_run_id = '{run.info.run_id}'"
        ):
            if model.status == "PENDING":
                client.finalize_logged_model(model.model_id, "FAILED")
        client.set_tag(run.info.run_id, "hpo.cause", "the promotion was killed")
        client.set_terminated(run.info.run_id, "FAILED")


def study_run(client: MlflowClient, experiment: str, uid: str) -> str | None:
    """Return the id of the study's own run; None if the mirror has not made it.

    Args:
        client: client of MLflow.
        experiment: id of the experiment.
        uid: unique id of the study.
    """
    terms = f"{_is('hpo.study_uid', uid)} and {_is('hpo.kind', 'study')}"
    found = client.search_runs([experiment], terms, max_results=1)
    return str(found[0].info.run_id) if found else None


def _is(tag: str, value: str) -> str:
    return f"tags.`{tag}` = '{value}'"
