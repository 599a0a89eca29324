"""Options that every hpo command takes, with the same defaults everywhere."""

from __future__ import annotations

import argparse


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """--study-name, --storage, --tracking-uri, --experiment-name; see `hpo.settings.Places`."""
    parser.add_argument(
        "--study-name", metavar="NAME", help="study (default: the newest; hpo.run: <toml>-<data>)"
    )
    parser.add_argument(
        "--storage", metavar="URL", help="Optuna storage (default: sqlite:///studies/optuna.db)"
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="MLflow (default: $MLFLOW_TRACKING_URI, else sqlite:///studies/mlflow.db)",
    )
    parser.add_argument(
        "--experiment-name",
        metavar="NAME",
        help="MLflow experiment of the study's runs (default: two-tower-hpo)",
    )
