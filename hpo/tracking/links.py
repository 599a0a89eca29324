"""Addresses of the two user interfaces, as `python -m hpo.dashboard` serves them by default."""

from __future__ import annotations

from recsys.mlflow_client import is_server, public_uri

DASHBOARD_PORT = 8080
MLFLOW_PORT = 5000


def mlflow_address(tracking_uri: str, experiment_id: str, run_id: str) -> str:
    """Of one run; a database has no address of its own, so there hpo.dashboard's is given."""
    server = is_server(tracking_uri)
    base = public_uri(tracking_uri).rstrip("/") if server else f"http://127.0.0.1:{MLFLOW_PORT}"
    return f"{base}/#/experiments/{experiment_id}/runs/{run_id}"


def dashboard_address(study_id: int, trial: int | None = None) -> str:
    """Of a study, or of one of its trials, in optuna-dashboard."""
    return f"http://127.0.0.1:{DASHBOARD_PORT}{dashboard_path(study_id, trial)}"


def dashboard_path(study_id: int, trial: int | None = None) -> str:
    """What comes after host and port."""
    study = f"/dashboard/studies/{study_id}"
    return study if trial is None else f"{study}/trials?numbers={trial}"
