"""Addresses of runs in MLflow and of studies and trials in optuna-dashboard."""

from __future__ import annotations

from urllib.parse import quote

from hpo.config import MLFLOW_PORT, Locations
from recsys.artifacts import is_server
from recsys.passwords import public_uri

WORKFLOW = "workflowType=machine_learning"  # else MLflow opens its GenAI pages, which hide trials


def mlflow_base(locations: Locations) -> str:
    """Return the address of the MLflow UI for users.

    Without --mlflow-url, it is the address of the tracking server or, if there is no server, of
    hpo.dashboard's UI.
    """
    if locations.mlflow_url is None and is_server(locations.tracking_uri):
        return public_uri(locations.tracking_uri).rstrip("/")
    return locations.mlflow_url or f"http://127.0.0.1:{MLFLOW_PORT}"


def run_address(base: str, experiment_id: str, run_id: str) -> str:
    """Return the address of one run in the MLflow UI.

    Args:
        base: address of the MLflow UI.
        experiment_id: id of the run's experiment.
        run_id: id of the run.
    """
    return f"{base}/#/experiments/{experiment_id}/runs/{run_id}?{WORKFLOW}"


def experiments_address(base: str) -> str:
    """Return the address of the list of experiments in the MLflow UI at `base`."""
    return f"{base}/#/experiments?{WORKFLOW}"


def study_address(base: str, experiment_id: str, uid: str, metric: str) -> str:
    """Return the address of a study's trials as charts, the best first.

    Args:
        base: address of the MLflow UI.
        experiment_id: id of the experiment with the runs.
        uid: unique id of the study.
        metric: metric that ranks the trials, e.g. best_recall_at_10.
    """
    trials = f"tags.`hpo.study_uid` = '{uid}' AND tags.`hpo.kind` = 'trial'"
    query = f"searchFilter={quote(trials, safe='')}&orderByKey=metrics.{metric}&orderByAsc=false"
    return f"{base}/#/experiments/{experiment_id}/runs?{WORKFLOW}&{query}&compareRunsMode=CHART"


def study_links(study_id: int, locations: Locations, mlflow: str | None) -> dict[str, str]:
    """Return the addresses of a study's pages by name, without credentials.

    Args:
        study_id: id of the study in the storage.
        locations: the addresses of the study and its mirror.
        mlflow: address of a page of MLflow; None: the study has none.
    """
    links = {"dashboard": f"{public_uri(locations.dashboard_url)}{dashboard_path(study_id)}"}
    return links if mlflow is None else {**links, "mlflow": public_uri(mlflow)}


def dashboard_path(study_id: int, trial: int | None = None) -> str:
    """Return the path of a study, or of one of its trials, in optuna-dashboard.

    Args:
        study_id: id of the study in the storage.
        trial: trial number; None: the study itself.
    """
    study = f"/dashboard/studies/{study_id}"
    return study if trial is None else f"{study}/trials?numbers={trial}"
