"""The syncing process is killed 200 times at random points; MLflow ends up equal all the same.

Syncing processes are forked from one that has imported everything, so that a kill hits the sync
and not its imports.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpo.config.locations import Locations
from hpo.tracking.mirror import Mirror
from recsys.artifacts.mlflow_client import experiment_id, open_client
from tests.support.fake_study import FakeStudy, locations
from tests.support.mlflow_server import by_trial, comparable, mlflow_template, mlflow_uri

__all__ = ["mlflow_template", "mlflow_uri"]

ROUNDS, KILLS = 20, 10
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform == "win32", reason="forks"),
    pytest.mark.timeout(3600),
]


def sync(locations: Locations) -> None:
    Mirror(locations, None).sync()


def killed_after(locations: Locations, seconds: float) -> bool:
    """Sync in a process of its own; whether the kill came before it was done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.test_sync_killed"])
    process = context.Process(target=sync, args=(locations,))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode != 0


def twelve_trials(study: FakeStudy) -> None:
    for n_epochs in (3, 5):
        for state, cause in [(COMPLETE, None), (PRUNED, None), (FAIL, "worker-died")]:
            study.run(state, n_epochs, cause)
    for _ in range(4):
        study.run(COMPLETE, 4)
    study.train(study.start(), 2)
    parked = study.start()
    study.train(parked, 2)
    study.park(parked)
    study.keep(6)


def test_two_hundred_random_kills(tmp_path: Path, mlflow_uri: str) -> None:
    study = FakeStudy(locations(tmp_path, mlflow_uri))
    twelve_trials(study)
    client, name = open_client(mlflow_uri), study.locations.experiment
    sync(study.locations)
    wanted = comparable(mlflow_uri)
    for warm in ("not yet", "yes"):  # the first fork waits for the imports
        client.rename_experiment(experiment_id(client, name), f"before: {warm}")
        started = time.monotonic()
        assert not killed_after(study.locations, 60.0)
        whole = time.monotonic() - started
    chance, hits = random.Random(0), 0
    for number in range(ROUNDS):
        client.rename_experiment(experiment_id(client, name), f"round {number}")
        hits += sum(killed_after(study.locations, chance.uniform(0, whole)) for _ in range(KILLS))
        sync(study.locations)
        assert comparable(mlflow_uri) == wanted, f"round {number}"
        assert Mirror(study.locations, None).check() == []
        assert len(by_trial(mlflow_uri)) == 13
    print(f"{hits} of {ROUNDS * KILLS} kills came before the sync was done; a sync: {whole:.2f} s")
    assert hits >= ROUNDS * KILLS / 10
