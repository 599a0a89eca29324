"""Options of the commands that use a registered model. Imports nothing heavy."""

from __future__ import annotations

import argparse

DEFAULT_MODEL = "models:/two-tower@champion"


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """--model, --tracking-uri, --as-measured."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="URI",
        help="models:/NAME@ALIAS or models:/NAME/VERSION (default: %(default)s)",
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="MLflow (default: $MLFLOW_TRACKING_URI, else sqlite:///studies/mlflow.db)",
    )
    parser.add_argument(
        "--as-measured",
        action="store_true",
        help="answer from train + validation, the history behind the model's test figures "
        "(default: all of the data)",
    )
