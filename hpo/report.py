"""Report of a study in one file to read and send on, and export of its trials.

python -m hpo.report [--study-name NAME]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.arguments import (
    NEWEST,
    add_artifacts_argument,
    add_moved_data_argument,
    add_place_arguments,
    add_spreadsheet_argument,
    chosen_locations,
)
from recsys.cli import command_parser, run_command
from recsys.messages import count, to_stderr

if TYPE_CHECKING:
    from hpo.config import Locations


def main(argv: Sequence[str]) -> int:
    """Export the trials or write the report, and return the exit code.

    Raises:
        SettingsError: an option is wrong.
        StudyError: there is no such study, it has no complete trial, or a file cannot be written.
        PromotionError: the data differs from the study's.
    """
    options = parser().parse_args(argv)
    from hpo.reporting import run_report

    locations = chosen_locations(options)
    if options.csv or options.parquet:
        from hpo.reporting import check_files

        check_files(options.csv, options.parquet)
        _export(locations, options)
        if options.out is None:
            return 0
    return run_report(locations, options.study_name, options.out, data=options.data, say=to_stderr)


def _export(locations: Locations, options: argparse.Namespace) -> None:
    from hpo.reporting import STDOUT, trial_frame, write_frame
    from hpo.study import StudyRecord, existing_storage, load_newest, read_trials

    study = load_newest(existing_storage(locations.storage), options.study_name, to_stderr)
    frame = trial_frame(read_trials(study), StudyRecord.of(study).config)
    written = write_frame(
        frame, options.csv, options.parquet, spreadsheet_safe=options.spreadsheet_safe
    )
    for path in written:
        line = f"{path}: {count(len(frame), 'trial')} of study {study.study_name}"
        print(line, file=sys.stderr if STDOUT in written else sys.stdout)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.report`."""
    result = command_parser(
        "hpo.report",
        "Write a study's report (HTML, PNG, Markdown), or export its trials.",
        "--study-name two_tower-ml-100k",
    )
    add_place_arguments(result, default=NEWEST)
    add_artifacts_argument(result)
    result.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the report (default: reports/STUDY beside the storage)",
    )
    for name, more in (("csv", ", - is stdout;"), ("parquet", "")):
        result.add_argument(
            f"--{name}",
            type=Path,
            metavar="FILE",
            help=f"write all trials to FILE (.{name}){more} and no report unless --out is given",
        )
    add_spreadsheet_argument(result)
    add_moved_data_argument(result)
    return result


if __name__ == "__main__":
    run_command(main)
