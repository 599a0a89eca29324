"""Command `hpo delete`: remove a study with its files."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.arguments import ONLY, add_artifacts_argument, add_place_arguments, chosen_locations
from recsys.cli import command_parser

if TYPE_CHECKING:
    from optuna import Study

    from hpo.cli.overview import Overview
    from hpo.config import Locations


def parser() -> argparse.ArgumentParser:
    """Return the parser of `hpo delete`."""
    result = command_parser(
        "hpo.delete",
        "Delete a study: its trials, report, models and snapshots. Its runs in MLflow and "
        "registered models stay.",
        "--study-name smoke-demo --yes",
    )
    add_place_arguments(result, default=ONLY)
    add_artifacts_argument(result)
    result.add_argument("--yes", action="store_true", help="do not ask")
    return result


def main(argv: Sequence[str]) -> int:
    """Delete the study and return the exit code: 1 if the answer is no.

    Raises:
        StudyError: there is no such study, a launcher owns it, or a file cannot be removed.
        SettingsError: the storage cannot be opened, or nobody can be asked.
        StudyStopped: the storage failed.
        ArtifactStoreError: its files cannot be removed from the artifact store; the study is kept.
    """
    options = parser().parse_args(argv)
    import optuna

    from hpo.cli.overview import Overview, files_of
    from hpo.cli.ownership import sole_owner
    from hpo.study import (
        Moved,
        StudyRecord,
        existing_storage,
        load_named,
        remove_sent,
        translated_storage_errors,
    )

    locations = chosen_locations(options)
    with translated_storage_errors():
        storage = existing_storage(locations.storage)
        study = load_named(storage, options.study_name, moved=True)
        name, record = study.study_name, StudyRecord.of(study)
        if not options.yes and not _confirmed(Overview.of(study, locations)):
            print(f"study {name} is kept")
            return 1
        with sole_owner(locations, name, "deleted"):
            # files first: a killed call leaves the study, and the next one finds the rest
            if not _shares_files(study, locations):
                for place in files_of(record, name, locations):
                    _remove(place)
            if Moved.of(study) is None:
                remove_sent(locations, record.uid)
            optuna.delete_study(study_name=name, storage=storage)
    print(f"study {name} is deleted; its runs in MLflow and registered models stay")
    return 0


def _shares_files(study: Study, locations: Locations) -> bool:
    """Return True if the study was moved, and its files are those of where it goes on."""
    from hpo.study import Moved, folder_of_storage

    moved = Moved.of(study)
    return moved is not None and moved.folder == str(folder_of_storage(locations.storage).resolve())


def _confirmed(overview: Overview) -> bool:
    """Return True if the user answers with the study's name.

    Raises:
        SettingsError: stdin is no terminal, so nobody can be asked.
    """
    from hpo.cli.overview import size_text
    from hpo.errors import SettingsError

    what = f"study {overview.name} ({overview.progress}, {size_text(overview.size)} of files)"
    if not sys.stdin.isatty():
        raise SettingsError(f"{what} is deleted for good: give --yes to do so without a question")
    print(f"{what} is deleted for good, and nothing can bring it back.")
    try:
        return input("Enter its name to delete it: ").strip() == overview.name
    except EOFError:  # Ctrl-D
        print()
        return False


def _remove(place: Path) -> None:
    """Remove a file or folder; one that is gone already is no error.

    Raises:
        StudyError: it cannot be removed.
    """
    from hpo.errors import StudyError

    try:
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(
            f"{place}: cannot be removed: {error.strerror}; the study is kept, fix that and "
            "delete it again"
        ) from error
