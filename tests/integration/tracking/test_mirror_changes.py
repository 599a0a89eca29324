"""A study that goes on in another way keeps its run in MLflow, and what people wrote there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from hpo import sync
from hpo.cli.moving import move_study
from hpo.config.study_config import StudyConfig
from hpo.errors import StudyError
from hpo.study.lifecycle import open_study
from hpo.study.records import PROMOTION_OF
from hpo.tracking.mirror import Mirror
from recsys.artifacts.mlflow_client import experiment_id, open_client
from tests.support.fake_study import CONFIG, FakeStudy, locations
from tests.support.mlflow_server import StoredRun, by_trial


@pytest.fixture
def study(tmp_path: Path, mlflow_uri: str) -> FakeStudy:
    return FakeStudy(locations(tmp_path))


def parent(study: FakeStudy) -> StoredRun:
    return by_trial(study.locations.tracking_uri)[None]


def write_on(study: FakeStudy, run_id: str) -> None:
    """What a person may do in the MLflow UI."""
    client = open_client(study.locations.tracking_uri)
    client.set_tag(run_id, "owner", "ann")
    client.set_tag(run_id, "mlflow.note.content", "do not delete")
    client.set_tag(run_id, "mlflow.runName", "the good one")


def go_on(study: FakeStudy, **changes: Any) -> None:
    """As `hpo.run --accept-changes` does with these keys of the study file."""
    old = study.record.config.model_dump(exclude_none=True)
    config = StudyConfig.model_validate({**old, **changes})
    record = replace(study.record, config=config)
    open_study(study.storage, study.study.study_name, record, accept_changes=True)


def test_another_pruner_and_more_trials_change_tags_only(study: FakeStudy) -> None:
    study.run(TrialState.COMPLETE)
    follower = Mirror(study.locations, None)  # as hpo.sync --follow, which began before
    follower.sync()
    before = parent(study)
    assert before.tags["hpo.pruner"] == "percentile startup=5 warmup=15 keep=75"
    write_on(study, before.run_id)

    go_on(study, pruner={"name": "none"}, sampler={"name": "random"}, n_trials=60, workers=3)
    for mirror in (Mirror(study.locations, None), follower, Mirror(study.locations, None)):
        mirror.sync()
        after = parent(study)
        assert after.run_id == before.run_id
        assert after.params == before.params
        shown = {name: after.tags[f"hpo.{name}"] for name in ("pruner", "sampler", "n_trials")}
        assert shown == {"pruner": "none", "sampler": "random", "n_trials": "60"}
        assert after.tags["hpo.workers"] == "3"
        assert after.tags["owner"] == "ann"
        assert (after.name, after.tags["mlflow.note.content"]) == ("the good one", "do not delete")
        assert mirror.check() == []


def test_tags_that_no_longer_hold_are_taken_away(study: FakeStudy) -> None:
    study.run(TrialState.COMPLETE)
    go_on(study, timeout=600.0)
    first = Mirror(study.locations, None)
    first.sync()
    write_on(study, parent(study).run_id)
    assert parent(study).tags["hpo.timeout"] == "600.0"
    config = study.record.config.model_copy(update={"timeout": None})
    open_study(study.storage, study.study.study_name, replace(study.record, config=config))
    assert "tag hpo.timeout is '600.0' in MLflow, and no more" in "\n".join(first.check())
    assert first.sync().updated == 1
    assert "hpo.timeout" not in parent(study).tags
    assert parent(study).tags["owner"] == "ann"
    assert first.check() == []
    assert first.sync().updated == 0
    first.close()


def test_other_ranges_make_another_run_which_keeps_what_people_wrote(study: FakeStudy) -> None:
    study.run(TrialState.COMPLETE)
    follower = Mirror(study.locations, None)
    follower.sync()
    before = parent(study)
    write_on(study, before.run_id)

    go_on(study, space={**CONFIG["space"], "dim": {"low": 16, "high": 64}})
    follower.sync()
    after = parent(study)
    assert after.run_id != before.run_id
    assert (before.params["space.dim"], after.params["space.dim"]) == ("16..128", "16..64")
    assert after.tags["owner"] == "ann"
    assert (after.name, after.tags["mlflow.note.content"]) == ("the good one", "do not delete")
    trial = by_trial(study.locations.tracking_uri)[0]
    assert trial.tags["mlflow.parentRunId"] == after.run_id
    for mirror in (Mirror(study.locations, None), follower):
        assert mirror.sync().created == 0
        assert mirror.check() == []


def test_files_and_tags_that_mlflow_lost_are_written_again(study: FakeStudy) -> None:
    study.run(TrialState.COMPLETE)
    study.keep(0)
    mirror = Mirror(study.locations, None)
    mirror.sync()
    client = open_client(study.locations.tracking_uri)
    for run in by_trial(study.locations.tracking_uri).values():
        root = urlsplit(client.get_run(run.run_id).info.artifact_uri).path
        shutil.rmtree(root)
        client.set_tag(run.run_id, "optuna.study", "another")
        client.set_tag(run.run_id, "team", "search")
    assert len(mirror.check()) > 2
    mirror.sync()
    assert mirror.check() == []
    for run in by_trial(study.locations.tracking_uri).values():
        assert client.get_run(run.run_id).data.tags["team"] == "search"


def test_promotions_follow_their_study_to_another_run(study: FakeStudy) -> None:
    study.run(TrialState.COMPLETE)
    mirror = Mirror(study.locations, None)
    old = mirror.sync().run_id
    client = open_client(study.locations.tracking_uri)
    tags = {PROMOTION_OF: f"{study.record.uid}/0", "mlflow.parentRunId": old}
    run = client.create_run(experiment_id(client, study.locations.experiment), tags=tags)
    client.delete_run(old)
    new = mirror.sync().run_id
    assert new != old
    assert client.get_run(run.info.run_id).data.tags["mlflow.parentRunId"] == new


def test_a_study_that_is_deleted_during_a_sync_is_a_sentence(
    study: FakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.run(TrialState.COMPLETE)
    mirror, read = Mirror(study.locations, None), optuna.Study.get_trials

    def read_and_delete(*args: Any, **options: Any) -> list[FrozenTrial]:
        trials = read(*args, **options)
        optuna.delete_study(study_name=study.study.study_name, storage=study.study._storage)
        return trials

    monkeypatch.setattr(optuna.Study, "get_trials", read_and_delete)
    with pytest.raises(StudyError, match="was deleted from sqlite:///"):
        mirror.sync()


def test_a_study_that_is_moved_is_followed_no_longer(
    study: FakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.run(TrialState.COMPLETE)
    (tmp_path / "new").mkdir()
    there = f"sqlite:///{(tmp_path / 'new' / 'optuna.db').as_posix()}"
    stores = ["--storage", study.locations.storage, "--tracking-uri", study.locations.tracking_uri]
    waits = 0

    def move(*_: object) -> None:
        nonlocal waits
        waits += 1
        assert waits == 1, "it goes on after the move"
        move_study(study.locations.storage, there, None)

    monkeypatch.setattr(
        sync, "threading", SimpleNamespace(Event=lambda: SimpleNamespace(wait=move))
    )
    with pytest.raises(StudyError, match=r"'fake-demo' was moved and goes on in sqlite:///.*new"):
        sync.main([*stores, "--follow"])


def test_another_study_with_the_id_of_a_deleted_one_is_not_synced(study: FakeStudy) -> None:
    study.run(TrialState.COMPLETE)
    mirror = Mirror(study.locations, None)
    mirror.sync()
    before = set(by_trial(study.locations.tracking_uri))
    optuna.delete_study(study_name=study.study.study_name, storage=study.storage)
    other = FakeStudy(study.locations)
    other.run(TrialState.COMPLETE)
    assert other.study._study_id == mirror.study._study_id
    for look in (mirror.sync, mirror.check):
        with pytest.raises(StudyError, match="'fake-demo' was deleted from .* another one was"):
            look()
    assert set(by_trial(study.locations.tracking_uri)) == before
