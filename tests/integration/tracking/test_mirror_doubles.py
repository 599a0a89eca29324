"""Of several runs of one trial the right one stays, and no run is taken for another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from hpo.config.study_config import StudyConfig
from hpo.study.lifecycle import open_study
from hpo.tracking.mirror import Mirror
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.errors import TrackingError
from tests.support.eight_trials import COMPLETE
from tests.support.fake_study import CONFIG, FakeStudy
from tests.support.mirrored import assert_mirrored, mirror, study
from tests.support.mlflow_server import EXPERIMENT, StoredRun, by_trial, stored_runs

__all__ = ["mirror", "study"]

THEIRS = {"owner": "ann", "mlflow.note.content": "keep", "mlflow.runName": "the good one"}


def parent(study: FakeStudy) -> StoredRun:
    return by_trial(study.locations.tracking_uri)[None]


def search_elsewhere(study: FakeStudy, high: int) -> None:
    """Change a range, so that the study needs another run."""
    space = {**CONFIG["space"], "dim": {"low": 16, "high": high}}
    old = study.record.config.model_dump(exclude_none=True)
    config = StudyConfig.model_validate({**old, "space": space})
    record = replace(study.record, config=config)
    open_study(study.storage, study.study.study_name, record, accept_changes=True)


class Watched:
    """A client that calls `before` ahead of each request, and may break off after the k-th."""

    def __init__(self, uri: str, k: int = 0) -> None:
        self._client, self._left = open_client(uri), k
        self.tracking_uri = uri
        self.names: list[str] = []

    def before(self, name: str) -> None:
        self.names.append(name)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.before(name)
            found = method(*args, **kwargs)
            self._left -= 1
            if self._left == 0:
                raise MlflowException("the connection broke off")
            return found

        return call


def synced(study: FakeStudy, client: Any) -> None:
    mirror = Mirror(study.locations, None, lambda _: client)
    try:
        mirror.sync()
    finally:
        mirror.close()


def highs() -> Iterator[int]:
    """Ends of a range, each another one."""
    yield from range(127, 16, -1)


def test_what_people_wrote_survives_a_fault_at_each_request_of_a_replacement(
    study: FakeStudy, mirror: Mirror
) -> None:
    study.run(COMPLETE)
    uri, ends = study.locations.tracking_uri, highs()
    mirror.sync()
    for name, text in THEIRS.items():
        open_client(uri).set_tag(parent(study).run_id, name, text)
    search_elsewhere(study, next(ends))
    synced(study, whole := Watched(uri))
    assert whole.names.index("create_run") < whole.names.index("delete_run")
    for k in range(1, len(whole.names)):
        search_elsewhere(study, next(ends))
        with pytest.raises(TrackingError, match="broke off"):
            synced(study, Watched(uri, k))
        assert any(run.tags.items() >= THEIRS.items() for run in stored_runs(uri)), whole.names[k]
        mirror.sync()
        assert parent(study).tags.items() >= THEIRS.items(), whole.names[k]
        assert mirror.check() == []


def test_a_restored_experiment_brings_no_replaced_run_back(
    study: FakeStudy, mirror: Mirror
) -> None:
    study.run(COMPLETE)
    client = open_client(study.locations.tracking_uri)
    for _, high in zip(range(6), highs(), strict=False):
        search_elsewhere(study, high)
        mirror.sync()
    kept = parent(study).run_id
    client.set_tag(kept, "owner", "bob")
    experiment = experiment_id(client, EXPERIMENT)
    client.delete_experiment(experiment)
    client.restore_experiment(experiment)
    assert len(stored_runs(study.locations.tracking_uri)) == 7
    report = mirror.sync()
    assert (report.run_id, report.created) == (kept, 0)
    assert parent(study).tags["owner"] == "bob"
    assert mirror.check() == []
    assert mirror.sync().updated == 0


class Growing(Watched):
    """A client to whose experiment another program adds a run between two pages."""

    def before(self, name: str) -> None:
        super().before(name)
        if name == "search_runs" and self.names.count(name) == 2:
            run = self._client.search_runs(["1"], max_results=1)[0]
            tags = {**run.data.tags, "optuna.trial": "77"}
            self._client.create_run("1", start_time=run.info.start_time + 1000, tags=tags)


def test_a_run_on_two_pages_is_one(
    study: FakeStudy, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.tracking.runs.PAGE", 2)
    for _ in range(3):
        study.run(COMPLETE)
    mirror.sync()
    uri = study.locations.tracking_uri
    before = {run.run_id for run in stored_runs(uri)}
    synced(study, client := Growing(uri))
    assert client.names.count("search_runs") > 2
    assert "delete_run" not in client.names
    assert {run.run_id for run in stored_runs(uri)} > before


def forget(client: MlflowClient, run_id: str) -> None:
    client.delete_tag(run_id, "optuna.trial")


def misname(client: MlflowClient, run_id: str) -> None:
    client.set_tag(run_id, "optuna.trial", "the good one")


def misname_twice(client: MlflowClient, run_id: str) -> None:
    client.set_tag(run_id, "optuna.trial", "")
    client.set_tag(run_id, "hpo.dashboard", "http://shop/")


@pytest.mark.parametrize("change", [forget, misname, misname_twice])
def test_a_number_that_somebody_changed_is_put_right(
    study: FakeStudy, mirror: Mirror, change: Any
) -> None:
    study.run(COMPLETE)
    study.run(COMPLETE)
    mirror.sync()
    uri = study.locations.tracking_uri
    before = {key: run.run_id for key, run in by_trial(uri).items()}
    client = open_client(uri)
    client.set_tag(before[1], "owner", "ann")
    change(client, before[1])
    assert any("trial 1: tag optuna.trial is " in line for line in mirror.check())
    report = mirror.sync()
    assert (report.created, report.updated) == (0, 1)
    assert {key: run.run_id for key, run in by_trial(uri).items()} == before
    client.delete_tag(before[1], "owner")
    assert_mirrored(mirror, uri)


@pytest.mark.parametrize(("tag", "text"), [("hpo.kind", "mine"), ("optuna.trial", "none")])
def test_the_run_of_a_study_whose_tags_somebody_changed_stays(
    study: FakeStudy, mirror: Mirror, tag: str, text: str
) -> None:
    study.run(COMPLETE)
    mirror.sync()
    before = parent(study).run_id
    open_client(study.locations.tracking_uri).set_tag(before, tag, text)
    report = mirror.sync()
    assert (report.run_id, report.created) == (before, 0)
    assert mirror.check() == []


def test_a_run_whose_trial_cannot_be_told_is_replaced(study: FakeStudy, mirror: Mirror) -> None:
    study.run(COMPLETE)
    mirror.sync()
    uri = study.locations.tracking_uri
    run_id, client = by_trial(uri)[0].run_id, open_client(uri)
    misname_twice(client, run_id)
    client.set_tag(run_id, "mlflow.runName", "the good one")
    line = f"run {run_id}: its trial cannot be told, tag optuna.trial is '' in MLflow"
    assert mirror.check() == ["trial 0: no run", line]
    assert mirror.sync().created == 1
    assert_mirrored(mirror, uri)
    assert by_trial(uri)[0].run_id != run_id
    assert mirror.sync().updated == 0
