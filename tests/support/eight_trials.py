"""Eight trials of a study that train nothing, for the mirror."""

from __future__ import annotations

from optuna.trial import TrialState

from recsys.artifacts.mlflow_client import open_client
from tests.support.fake_study import FakeStudy
from tests.support.mlflow_server import (
    stored_runs,
)

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


def delete_all_runs(study: FakeStudy) -> None:
    client = open_client(study.locations.tracking_uri)
    for run in stored_runs(study.locations.tracking_uri):
        client.delete_run(run.run_id)
