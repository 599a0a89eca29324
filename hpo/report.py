"""What a study found, in one file to read and send on.

python -m hpo.report [--study-name NAME]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.arguments import add_moved_data_argument, add_place_arguments
from recsys.cli import run_command
from recsys.console import command_parser

if TYPE_CHECKING:
    from hpo.settings import Places

REPORTS = Path("studies/reports")


def main(argv: Sequence[str]) -> int:
    """Export the trials, or write the report; the exit code."""
    options = parser().parse_args(argv)
    from hpo.settings import Places

    places = Places.resolve(options.storage, options.tracking_uri, options.experiment_name)
    if options.csv or options.parquet:
        _export(places, options.study_name, options.csv, options.parquet)
        if options.out is None:
            return 0
    return run_report(places, options.study_name, options.out, data=options.data)


def _export(places: Places, study_name: str | None, csv: Path | None, parquet: Path | None) -> None:
    from hpo.records import StudyRecord
    from hpo.reports.export import trial_frame, write_frame
    from hpo.reports.trials import read_trials
    from hpo.storage import existing_storage
    from hpo.study import load_study

    study = load_study(existing_storage(places.storage), study_name)
    space = StudyRecord.of(study).config.space
    frame = trial_frame(read_trials(study), list(space))
    for path in write_frame(frame, csv, parquet):
        print(f"{path}: {len(frame)} trials of study {study.study_name}")


def run_report(
    places: Places, study_name: str | None, out: Path | None = None, *, data: str | None = None
) -> int:
    """Write the report, put it into MLflow if the study is there, say where it is."""
    from hpo.reports.reporting import write_report
    from hpo.storage import existing_storage
    from hpo.study import load_study

    name = load_study(existing_storage(places.storage), study_name).study_name
    page = write_report(places, name, out or REPORTS / folder_name(name), data=data)
    print(f"report of study {name}: {page}")
    print(_log(places, name, page.parent))
    return 0


def _log(places: Places, study_name: str, folder: Path) -> str:
    """A report that is not in MLflow is still a report: one line, no failure."""
    from hpo.reports.reporting import ARTIFACTS, log_report
    from recsys.errors import TrackingError

    try:
        run = log_report(places, study_name, folder)
    except TrackingError as error:
        return f"not in MLflow: {error}"
    if run is None:
        return "not in MLflow: the study has no run there; make one with hpo.sync"
    return f"in MLflow: folder {ARTIFACTS} of run {run}"


def folder_name(study_name: str) -> str:
    """The study's name as one folder: it may hold slashes and dots."""
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in study_name)
    return safe or "study"


def parser() -> argparse.ArgumentParser:
    """All options of `python -m hpo.report`."""
    result = command_parser(
        "hpo.report",
        "Write a study's report (HTML, PNG, Markdown), or export its trials.",
        "python -m hpo.report --study-name two_tower-ml-100k",
    )
    add_place_arguments(result)
    result.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where the report goes (default: {REPORTS.as_posix()}/STUDY)",
    )
    for name in ("csv", "parquet"):
        result.add_argument(
            f"--{name}",
            type=Path,
            metavar="FILE",
            help="write all trials there, and no report unless --out is given",
        )
    add_moved_data_argument(result)
    return result


if __name__ == "__main__":
    run_command(main)
