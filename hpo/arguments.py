"""Options shared by several hpo commands, with the same defaults everywhere."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hpo.config import DASHBOARD_PORT, MLFLOW_PORT, MODEL, checked_model_name

if TYPE_CHECKING:
    from hpo.config import Locations

MAX_REASON = 500


ONLY = "the only one; required where there are several"  # as in `hpo.study.lifecycle.load_named`
NEWEST = "the newest"  # as in `hpo.study.lifecycle.load_newest`, for reading


def add_place_arguments(
    parser: argparse.ArgumentParser,
    *,
    study: bool = True,
    storage: bool = True,
    default: str = ONLY,
) -> None:
    """Add --storage, --tracking-uri, --experiment-name and --study-name; see `chosen_locations`.

    Args:
        parser: parser of the command.
        study: True if the command is about one study.
        storage: True if the command reads one storage.
        default: help text on the study that is taken without --study-name.
    """
    if study:
        parser.add_argument(
            "--study-name",
            metavar="NAME",
            help=f"name of the study (default: {default})",
        )
    if storage:
        parser.add_argument(
            "--storage",
            metavar="URL",
            help="URL of the Optuna storage (default: $HPO_STORAGE, else "
            "sqlite:///studies/optuna.db); the variable keeps a password out of the list of "
            "processes",
        )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="URI of MLflow (default: $MLFLOW_TRACKING_URI, else sqlite:///studies/mlflow.db)",
    )
    parser.add_argument(
        "--experiment-name",
        metavar="NAME",
        help="MLflow experiment of the study's runs (default: two-tower-hpo)",
    )


def add_artifacts_argument(parser: argparse.ArgumentParser) -> None:
    """Add --artifacts, for commands that write or read the files of a study."""
    parser.add_argument(
        "--artifacts",
        metavar="URL",
        help="folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX that also "
        "gets the study's report, best model and snapshots, for other machines (default: "
        "$HPO_ARTIFACTS, else only the folder beside the storage)",
    )


def add_link_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --dashboard-url and --mlflow-url, for commands that write links between the two."""
    parser.add_argument(
        "--dashboard-url",
        type=_url,
        metavar="URL",
        help="address of optuna-dashboard in your browser, for links from MLflow "
        f"(default: $HPO_DASHBOARD_URL, else http://127.0.0.1:{DASHBOARD_PORT})",
    )
    parser.add_argument(
        "--mlflow-url",
        type=_url,
        metavar="URL",
        help="address of MLflow in your browser, for links from optuna-dashboard "
        f"(default: $HPO_MLFLOW_URL, else the tracking server or http://127.0.0.1:{MLFLOW_PORT})",
    )


def chosen_locations(options: argparse.Namespace) -> Locations:
    """Return the locations that a command's options give, see `Locations.resolve`.

    Args:
        options: options of `add_place_arguments`, and maybe of `add_artifacts_argument` and of
            `add_link_arguments`.

    Raises:
        SettingsError: see `Locations.resolve`.
    """
    from hpo.config import Locations

    further = ("dashboard_url", "mlflow_url", "artifacts")
    return Locations.resolve(
        options.storage,
        options.tracking_uri,
        options.experiment_name,
        **{name: getattr(options, name, None) for name in further},
    )


def _url(text: str) -> str:
    """Return a URL as given.

    Raises:
        argparse.ArgumentTypeError: it does not begin with http:// or https://.
    """
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r}: give http://HOST:PORT or https://HOST")
    return text


def add_moved_data_argument(parser: argparse.ArgumentParser, whose: str = "study") -> None:
    """Add --data (or --data-root), for commands that read the data of a study or a model.

    Args:
        parser: parser of the command.
        whose: owner of the data, for the help text.
    """
    parser.add_argument(
        "--data",
        "--data-root",
        dest="data",
        metavar="NAME|PATH",
        help=f"new place of the {whose}'s data, if it has moved (default: the old place)",
    )


def add_spreadsheet_argument(parser: argparse.ArgumentParser) -> None:
    """Add --spreadsheet-safe, for commands that write CSV with ids and other text of users."""
    parser.add_argument(
        "--spreadsheet-safe",
        action="store_true",
        help="put ' before text in CSV that begins like a formula (=, +, -, @, tab, line break), "
        "for files to open in Excel and the like; numbers and Parquet stay exact (default: text is "
        "written unchanged, and a spreadsheet would run it as a formula)",
    )


def add_host_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --host and --allowed-host, for commands that serve."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="also answer requests to this host name; may be repeated",
    )


def add_gate_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Add --dry-run, --force and --model, for commands that register a model.

    Args:
        parser: parser of the command.
        default: help text on the name without --model.
    """
    parser.add_argument(
        "--dry-run", action="store_true", help="measure and judge, but write nothing into MLflow"
    )
    parser.add_argument(
        "--force",
        type=_reason,
        metavar="REASON",
        help="make the model the champion even if the gate refuses it; a tag stores REASON",
    )
    parser.add_argument(
        "--model",
        type=_model_name,
        metavar="NAME",
        help=f"name of the registered model; each has a champion of its own (default: {default})",
    )


def _model_name(text: str) -> str:
    """Return the name of a registered model.

    Raises:
        argparse.ArgumentTypeError: MLflow or an address could not hold it.
    """
    try:
        return checked_model_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _reason(text: str) -> str:
    """Return a reason with single spaces between its words.

    Raises:
        argparse.ArgumentTypeError: it is empty or too long.
    """
    reason = " ".join(text.split())
    if not 1 <= len(reason) <= MAX_REASON:
        raise argparse.ArgumentTypeError(
            f"{len(reason)} characters: give a reason of 1..{MAX_REASON}, for instance "
            "'the old one recommends discontinued items'"
        )
    return reason


DEFAULT_MODEL = f"models:/{MODEL}@champion"


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model, --tracking-uri and --as-measured."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="URI",
        help="NAME for its champion, models:/NAME@ALIAS or models:/NAME/VERSION "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="URI of MLflow (default: $MLFLOW_TRACKING_URI, else sqlite:///studies/mlflow.db)",
    )
    parser.add_argument(
        "--as-measured",
        action="store_true",
        help="recommend from train + validation, the history behind the model's test figures "
        "(default: from all of the data)",
    )
