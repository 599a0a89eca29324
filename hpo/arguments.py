"""Options that several hpo commands take, with the same defaults everywhere."""

from __future__ import annotations

import argparse

from hpo.config.locations import DASHBOARD_PORT, MLFLOW_PORT

MAX_REASON = 500


ONLY = "the only one; required where there are several"  # `hpo.study.lifecycle.load_study`
NEWEST = "the newest"  # `hpo.study.lifecycle.load_newest`, for commands that only read


def add_place_arguments(
    parser: argparse.ArgumentParser, *, study: bool = True, default: str = ONLY
) -> None:
    """Add --storage, --tracking-uri, --experiment-name and --study-name.

    `hpo.config.locations.Locations` resolves the first three.

    Args:
        parser: gets them.
        study: whether the command is about one study.
        default: which study is taken without --study-name, for the help.
    """
    if study:
        parser.add_argument(
            "--study-name",
            metavar="NAME",
            help=f"study (default: {default})",
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


def add_link_arguments(parser: argparse.ArgumentParser) -> None:
    """--dashboard-url and --mlflow-url of commands that write links between the two."""
    parser.add_argument(
        "--dashboard-url",
        type=_url,
        metavar="URL",
        help="where you see optuna-dashboard, for links from MLflow "
        f"(default: $HPO_DASHBOARD_URL, else http://127.0.0.1:{DASHBOARD_PORT})",
    )
    parser.add_argument(
        "--mlflow-url",
        type=_url,
        metavar="URL",
        help="where you see MLflow, for links from optuna-dashboard "
        f"(default: $HPO_MLFLOW_URL, else the server or http://127.0.0.1:{MLFLOW_PORT})",
    )


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r}: give http://HOST:PORT or https://HOST")
    return text


def add_moved_data_argument(parser: argparse.ArgumentParser, whose: str = "study") -> None:
    """--data (or --data-root) of commands that take a study's data from where it was.

    Args:
        parser: gets it.
        whose: what the data is of, for the help.
    """
    parser.add_argument(
        "--data",
        "--data-root",
        dest="data",
        metavar="NAME|PATH",
        help=f"the {whose}'s data, if it has moved (default: where it was)",
    )


def add_spreadsheet_argument(parser: argparse.ArgumentParser) -> None:
    """--spreadsheet-safe of commands that write CSV with ids and other text of users."""
    parser.add_argument(
        "--spreadsheet-safe",
        action="store_true",
        help="put ' before text in CSV that begins like a formula (=, +, -, @, tab, line break), "
        "for files that Excel or the like will open; numbers and Parquet stay exact (default: text "
        "is written as it is, and a spreadsheet would run such an id)",
    )


def add_host_arguments(parser: argparse.ArgumentParser) -> None:
    """--host and --allowed-host of commands that serve."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen (default: this machine only)"
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="answer under this host name, too; may be repeated",
    )


def add_gate_arguments(parser: argparse.ArgumentParser) -> None:
    """--dry-run and --force of commands that register a model."""
    parser.add_argument(
        "--dry-run", action="store_true", help="measure and judge, but leave MLflow as it is"
    )
    parser.add_argument(
        "--force",
        type=_reason,
        metavar="REASON",
        help="make it the champion whatever the gate says; the reason is kept as a tag",
    )


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not 1 <= len(reason) <= MAX_REASON:
        raise argparse.ArgumentTypeError(
            f"{len(reason)} characters: give a reason of 1..{MAX_REASON}, for instance "
            "'the old one recommends discontinued items'"
        )
    return reason


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
