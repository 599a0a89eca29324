"""MLflow servers and stores, and Ray's nodes, for these tests."""

from tests.support.mlflow_server import mlflow_template, mlflow_uri, tracking_server
from tests.support.ray_nodes import ray_nodes, two_nodes

__all__ = ["mlflow_template", "mlflow_uri", "ray_nodes", "tracking_server", "two_nodes"]
