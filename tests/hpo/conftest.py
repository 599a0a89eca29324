"""Fixtures of the hpo tests."""

from tests.hpo.mlflow_server import mlflow_template, mlflow_uri, tracking_server

__all__ = ["mlflow_template", "mlflow_uri", "tracking_server"]
