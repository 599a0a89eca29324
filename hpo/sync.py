"""Sync of a study: make MLflow equal to the Optuna storage, also after an outage or a deletion.

python -m hpo.sync
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.arguments import (
    NEWEST,
    ONLY,
    add_artifacts_argument,
    add_link_arguments,
    add_place_arguments,
    chosen_locations,
)
from hpo.errors import ArtifactStoreError, SettingsError, StudyError
from recsys.cli import command_parser, run_command
from recsys.errors import TrackingError
from recsys.messages import count, to_stderr

if TYPE_CHECKING:
    from hpo.config import Locations
    from hpo.tracking import Mirror, SyncReport

FOLLOW_SECONDS = 3.0


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.sync`."""
    result = command_parser(
        "hpo.sync",
        "Bring a study's runs in MLflow, and its artifact store, up to date. Nothing is written "
        "twice.",
        "--follow",
    )
    add_place_arguments(result, default=f"{ONLY}; --check: {NEWEST}")
    add_artifacts_argument(result)
    add_link_arguments(result)
    either = result.add_mutually_exclusive_group()
    either.add_argument(
        "--follow",
        action="store_true",
        help="continue to sync until the study has all its trials, or Ctrl-C",
    )
    either.add_argument(
        "--check",
        action="store_true",
        help="write nothing; print the differences; exit code 3 if there are any, 2 if there is no "
        "MLflow store",
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Sync or check one study and return the exit code.

    Raises:
        StudyError: there is no such study, or its lock file cannot be written.
        SettingsError: the storage or the URI of MLflow cannot be used.
        TrackingError: MLflow does not answer.
    """
    options = parser().parse_args(argv)
    from hpo.study import existing_storage, load_newest, send_files
    from hpo.tracking import Mirror
    from recsys.artifacts import check_tracking_uri

    locations = chosen_locations(options)
    check_tracking_uri(locations.tracking_uri)
    name = options.study_name
    if options.check:  # --check only reads, so it may take the newest study
        storage = existing_storage(locations.storage)
        name = load_newest(storage, name, to_stderr).study_name
        storage.engine.dispose()
    mirror, unsent = Mirror(locations, name), ""
    try:
        if options.check:
            return _print_differences(mirror, locations)
        if options.follow:
            _follow(mirror)
        if unsent := send_files(locations, mirror.study):
            print(unsent, file=sys.stderr)
        report = mirror.sync()
    except (OSError, SettingsError) as error:
        # `hpo.study.locks` may wrap errors of the lock file; MLflow's become TrackingError
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        raise StudyError(
            f"study {mirror.study_name} cannot be synced or checked: {cause.filename}: "
            f"{cause.strerror}; make that folder writable, or copy the storage to one that is"
        ) from None
    finally:
        mirror.close()
    print(_synced_line(mirror, report))
    if report.absent:
        print(_absent(mirror, locations, report))
    print(_where(mirror, locations, report))
    for line in report.refused:
        print(line, file=sys.stderr)
    if report.refused:
        return TrackingError.exit_code
    return ArtifactStoreError.exit_code if unsent else 0


def _absent(mirror: Mirror, locations: Locations, report: SyncReport) -> str:
    """Name the files that are neither in MLflow nor in the artifact folder, with the cure."""
    from hpo.config import command
    from hpo.study import artifact_folder

    return (
        f"not in MLflow: {', '.join(report.absent)}; the original files are not in "
        f"{artifact_folder(locations.storage)} either. Run hpo.sync on the machine that has them, "
        f"or make them again: {command('report', mirror.study_name, locations)}"
    )


def _print_differences(mirror: Mirror, locations: Locations) -> int:
    """Print every difference and return the exit code."""
    from hpo.config import command
    from hpo.study import is_owned

    # Asked before the check, since the launcher may end meanwhile.
    running = is_owned(locations.storage, mirror.study_name)
    found = mirror.check()
    for line in found:
        print(line)
    if found:
        again = command("sync", mirror.study_name, locations)
        cure = (
            "the study is running, so news of the last seconds may not be in MLflow yet; check "
            "again when it has ended."
            if running
            else f"{again} writes what is missing. If a run still differs then, MLflow cannot "
            "change it: delete the run in MLflow and sync again, which makes it anew, without "
            "anything users added."
        )
        print(f"study {mirror.study_name}: {count(len(found), 'difference')}; {cure}")
        return TrackingError.exit_code
    print(f"study {mirror.study_name}: MLflow equals the storage")
    return 0


def _follow(mirror: Mirror) -> None:
    """Sync again and again until the study is complete; report each outage and wait for its end."""
    from hpo.study import is_lost, storage_failure

    problem = ""
    while True:
        try:
            report = mirror.sync(fresh=False)
        except Exception as error:
            told = str(error) if isinstance(error, TrackingError) else storage_failure(error)
            if told is None or is_lost(error):
                raise
            if told != problem:
                print(f"{told}; trying again", file=sys.stderr)
            problem = told
        else:
            problem = ""
            if report.created or report.updated or report.uploaded:
                print(_synced_line(mirror, report), flush=True)
            if report.status == "FINISHED":
                return
        threading.Event().wait(FOLLOW_SECONDS)


def _synced_line(mirror: Mirror, report: SyncReport) -> str:
    files = f", {count(report.uploaded, 'file')} uploaded" if report.uploaded else ""
    return (
        f"study {mirror.study_name}: {count(report.n_trials, 'trial')} in MLflow, "
        f"{count(report.created, 'run')} created, {report.updated} updated{files} "
        f"({count(report.calls, 'call')}, {report.seconds:.1f} s)"
    )


def _where(mirror: Mirror, locations: Locations, report: SyncReport) -> str:
    from hpo.config import command
    from recsys.artifacts import is_server

    if report.address is None:
        return "no trial has started yet"
    start = f"{command('dashboard', mirror.study_name, locations)}\n  "
    return f"see it:\n  {'' if is_server(locations.tracking_uri) else start}{report.address}"


if __name__ == "__main__":
    run_command(main)
