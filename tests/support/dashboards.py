"""A dashboard on a study that trains nothing, and questions to it."""

from __future__ import annotations

import json
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

import pytest
from optuna.trial import TrialState

from hpo.dashboards.host_guard import LOCAL_HOSTS, Guard
from hpo.dashboards.servers import DashboardServer
from hpo.study.files.contents import DashboardFiles
from hpo.tracking.dashboard_view import dashboard_app
from tests.support.fake_study import FakeStudy, locations


@dataclass
class Answer:
    status: int
    body: str


def ask(url: str, method: str = "GET", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b'{"study_name": "x"}' if method in ("POST", "PUT") else None
    request = urllib.request.Request(url, method=method, headers=named, data=body)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, answer.read().decode())
    except HTTPError as error:
        return Answer(error.code, error.read().decode())


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> FakeStudy:
    """A study with a kept trial, beside an empty MLflow database. Nothing here may change it."""
    folder = tmp_path_factory.mktemp("dashboard")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    made = FakeStudy(locations(folder))
    made.run(TrialState.COMPLETE)
    made.keep(0)
    return made


def serve(study: FakeStudy, *, allow_writes: bool) -> DashboardServer:
    store = DashboardFiles(study.locations, study.storage)
    app = dashboard_app(study.storage, store, allow_writes=allow_writes)
    guard = Guard(app, [*LOCAL_HOSTS, "known"], allow_writes=allow_writes)
    return DashboardServer(guard, "127.0.0.1", 0, "--port")


def listed(address: str) -> dict[str, str]:
    """Name of each artifact that the study's and the trial's page show, to where it is served."""
    study = json.loads(ask(f"{address}/api/studies/1").body)
    (trial,) = study["trials"]
    pages = {"/artifacts/1": study, f"/artifacts/1/{trial['trial_id']}": trial}
    return {
        artifact["filename"]: f"{path}/{artifact['artifact_id']}"
        for path, shown in pages.items()
        for artifact in shown["artifacts"]
    }
