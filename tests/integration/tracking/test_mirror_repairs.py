"""What was deleted, doubled, spoiled or broken off in MLflow is put right by the next sync."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from hpo.tracking.mirror import Mirror
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.errors import TrackingError
from tests.support.fake_study import FakeStudy
from tests.support.mirrored import all_states, assert_mirrored, mirror, study
from tests.support.mlflow_server import (
    EXPERIMENT,
    by_trial,
    comparable,
    stored_runs,
)

__all__ = ["mirror", "study"]

from tests.support.eight_trials import COMPLETE, FAIL, PRUNED, delete_all_runs


def delete_experiment(study: FakeStudy) -> None:
    client = open_client(study.locations.tracking_uri)
    client.delete_experiment(experiment_id(client, EXPERIMENT))


def delete_the_parent(study: FakeStudy) -> None:
    client = open_client(study.locations.tracking_uri)
    client.delete_run(by_trial(study.locations.tracking_uri)[None].run_id)


def delete_one_trial(study: FakeStudy) -> None:
    client = open_client(study.locations.tracking_uri)
    client.delete_run(by_trial(study.locations.tracking_uri)[1].run_id)


def delete_the_database(study: FakeStudy) -> None:
    path = Path(study.locations.tracking_uri.removeprefix("sqlite:///"))
    path.unlink()
    path.with_name(path.name + "-wal").write_bytes(b"left by a process that was killed")


def double_some_runs(study: FakeStudy) -> None:
    client = open_client(study.locations.tracking_uri)
    for run in stored_runs(study.locations.tracking_uri)[:3]:
        marks = ("hpo.synced", "hpo.files")  # not given when a run is made
        tags = {name: value for name, value in run.tags.items() if name not in marks}
        experiment = experiment_id(client, EXPERIMENT)
        client.create_run(experiment, run.start_ms, tags=tags, run_name=run.name)


def spoil_marks(study: FakeStudy) -> None:
    client = open_client(study.locations.tracking_uri)
    runs = by_trial(study.locations.tracking_uri)
    client.delete_tag(runs[0].run_id, "hpo.synced")
    client.set_tag(runs[1].run_id, "hpo.synced", "1:1:feed:beef")


def change_statuses(study: FakeStudy) -> None:
    client = open_client(study.locations.tracking_uri)
    for run in stored_runs(study.locations.tracking_uri):
        client.set_terminated(run.run_id, "FAILED")


@pytest.mark.parametrize(
    "damage",
    [
        delete_experiment,
        delete_all_runs,
        delete_the_parent,
        delete_one_trial,
        delete_the_database,
        double_some_runs,
        spoil_marks,
    ],
)
def test_damage_is_repaired(
    study: FakeStudy, mirror: Mirror, damage: Callable[[FakeStudy], None]
) -> None:
    all_states(study)
    mirror.sync()
    damage(study)
    mirror.sync()
    assert_mirrored(mirror, study.locations.tracking_uri)
    assert mirror.sync().calls == 4


def test_statuses_set_by_hand_are_put_right(study: FakeStudy, mirror: Mirror) -> None:
    study.run(COMPLETE)
    study.run(PRUNED)
    running = study.start()
    mirror.sync()
    change_statuses(study)
    mirror.sync()
    statuses = {key: run.status for key, run in by_trial(study.locations.tracking_uri).items()}
    assert statuses == {None: "RUNNING", 0: "FINISHED", 1: "KILLED", running.number: "RUNNING"}


def test_a_deleted_run_comes_back_while_a_study_is_followed(
    study: FakeStudy, mirror: Mirror
) -> None:
    trial = study.start()
    mirror.sync()
    open_client(study.locations.tracking_uri).delete_run(
        by_trial(study.locations.tracking_uri)[0].run_id
    )
    study.train(trial, 1)
    with pytest.raises(TrackingError, match="deleted"):
        mirror.sync(fresh=False)
    mirror.sync(fresh=False)
    assert_mirrored(mirror, study.locations.tracking_uri)


class Faulty:
    """A client whose k-th request (from 1) breaks off: `torn` in the middle, else after its end.

    What was asked first is done in both cases, so this is also a fault before request k + 1.
    """

    def __init__(self, uri: str, k: int, *, torn: bool = False) -> None:
        self._client, self._left, self._torn = open_client(uri), k, torn
        self.tracking_uri = uri
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.names.append(name)
            self._left -= 1
            if self._left:
                return method(*args, **kwargs)
            if self._torn and name == "log_batch" and len(args) > 2:
                run_id, metrics, params, _ = args
                method(run_id, metrics[: len(metrics) // 2], params)
            else:
                method(*args, **kwargs)
            raise MlflowException("the connection broke off")

        return call


def eight_trials(study: FakeStudy) -> None:
    for state, cause in [(COMPLETE, None), (PRUNED, None), (FAIL, "worker-died"), (COMPLETE, None)]:
        study.run(state, 2, cause)
    for n_epochs in range(3):
        study.train(study.start(), n_epochs)
    parked = study.start()
    study.train(parked, 2)
    study.park(parked)
    study.keep(3)


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True])
def test_a_fault_at_every_request(study: FakeStudy, torn: bool) -> None:
    eight_trials(study)
    uri = study.locations.tracking_uri
    clients: list[Any] = [whole := Faulty(uri, 0)]
    mirror = Mirror(
        study.locations, None, lambda uri: clients.pop() if clients else open_client(uri)
    )
    mirror.sync()
    wanted = comparable(uri)
    assert len(wanted) == 9
    client = open_client(uri)
    for k, name in enumerate(whole.names, 1):
        if torn and name != "log_batch":
            continue
        client.rename_experiment(experiment_id(client, EXPERIMENT), f"before {k}")
        clients.append(Faulty(uri, k, torn=torn))
        with pytest.raises(TrackingError, match="broke off"):
            mirror.sync()
        mirror.sync()
        assert comparable(uri) == wanted, f"request {k}: {name}"
    mirror.close()
