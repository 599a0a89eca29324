"""Command `hpo copy-study`: move a study to another storage; the work is in `hpo.cli.moving`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hpo.arguments import add_place_arguments
from recsys.cli import command_parser


def parser() -> argparse.ArgumentParser:
    """Return the parser of `hpo copy-study`."""
    result = command_parser(
        "hpo.copy-study",
        "Move a study to another storage: its trials, attributes, report, models and snapshots. It "
        "goes on there as the same study, also in MLflow. The old copy stays as it was, marked as "
        "moved, and no command trains, reports or promotes it any more.",
        "--from sqlite:///studies/optuna.db --to postgresql+psycopg://me@db/hpo",
    )
    result.add_argument(
        "--from",
        dest="source",
        metavar="URL",
        help="URL of the storage that has the study (default: $HPO_STORAGE, else "
        "sqlite:///studies/optuna.db)",
    )
    goal = result.add_mutually_exclusive_group()
    goal.add_argument(
        "--to",
        dest="target",
        metavar="URL",
        help="URL of the storage to move it to (default: $HPO_STORAGE); the variable keeps a "
        "password out of the list of processes",
    )
    goal.add_argument(
        "--undo",
        action="store_true",
        help="let a study go on in --from that was moved away; only if it is lost where it went",
    )
    add_place_arguments(result, storage=False)
    return result


def main(argv: Sequence[str]) -> int:
    """Move the study, or take a move back, and return the exit code.

    Raises:
        StudyError: there is no such study, a launcher owns it, it was moved already, the other
            storage has a study of that name, or a file cannot be copied.
        SettingsError: a storage cannot be opened, or both are the same.
        StudyStopped: a storage failed.
    """
    options = parser().parse_args(argv)
    import optuna

    from hpo.cli.moving import move_study, take_back
    from hpo.config import Locations, command
    from hpo.study import translated_storage_errors
    from recsys.passwords import without_password

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it reports each study that it makes
    source = Locations.resolve(options.source, None)
    target = Locations.resolve(options.target, options.tracking_uri, options.experiment_name)
    with translated_storage_errors():
        if options.undo:
            name = take_back(source.storage, options.study_name)
            print(f"study {name} goes on in {without_password(source.storage)}")
            return 0
        moved = move_study(source.storage, target.storage, options.study_name)
    print(
        f"study {moved.name}: {moved.n_trials} trials and {moved.n_files} files moved to "
        f"{without_password(target.storage)}, where it goes on; the copy in "
        f"{without_password(source.storage)} is marked as moved"
    )
    print(f"next, for its links in MLflow: {command('sync', moved.name, target)}")
    return 0
