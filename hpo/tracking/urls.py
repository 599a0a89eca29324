"""Addresses of runs in MLflow and of studies and trials in optuna-dashboard."""

from __future__ import annotations

from urllib.parse import quote

from hpo.config import MLFLOW_PORT, Locations
from recsys.artifacts import is_server, public_uri

WORKFLOW = "workflowType=machine_learning"  # else MLflow opens its GenAI pages, which hide trials


def mlflow_base(locations: Locations) -> str:
    """Where people see MLflow; without --mlflow-url the tracking server, or hpo.dashboard's UI."""
    if locations.mlflow_url is None and is_server(locations.tracking_uri):
        return public_uri(locations.tracking_uri).rstrip("/")
    return locations.mlflow_url or f"http://127.0.0.1:{MLFLOW_PORT}"


def run_address(base: str, experiment_id: str, run_id: str) -> str:
    """Return the address of one run in the MLflow UI at `base`."""
    return f"{base}/#/experiments/{experiment_id}/runs/{run_id}?{WORKFLOW}"


def experiments_address(base: str) -> str:
    """Return the address of the list of experiments in the MLflow UI at `base`."""
    return f"{base}/#/experiments?{WORKFLOW}"


def study_address(base: str, experiment_id: str, uid: str, metric: str) -> str:
    """Return the address of a study's trials as charts, the best first.

    Args:
        base: of the MLflow UI.
        experiment_id: where the runs are.
        uid: of the study.
        metric: ranks the trials, e.g. best_recall_at_10.
    """
    trials = f"tags.`hpo.study_uid` = '{uid}' AND tags.`hpo.kind` = 'trial'"
    query = f"searchFilter={quote(trials, safe='')}&orderByKey=metrics.{metric}&orderByAsc=false"
    return f"{base}/#/experiments/{experiment_id}/runs?{WORKFLOW}&{query}&compareRunsMode=CHART"


def dashboard_path(study_id: int, trial: int | None = None) -> str:
    """Of a study, or of one of its trials, in optuna-dashboard: what follows host and port."""
    study = f"/dashboard/studies/{study_id}"
    return study if trial is None else f"{study}/trials?numbers={trial}"
