"""MLflow servers and stores for these tests."""

from tests.support.mlflow_server import mlflow_template, mlflow_uri, tracking_server

__all__ = ["mlflow_template", "mlflow_uri", "tracking_server"]
