"""What a study found, in one file to read and send on.

python -m hpo.report [--study-name NAME]
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.arguments import add_moved_data_argument, add_place_arguments
from recsys.cli import run_command
from recsys.console import command_parser, count
from recsys.errors import RecsysError

if TYPE_CHECKING:
    from optuna import Study

    from hpo.places import Places
    from recsys.split import Split

REPORTS = "reports"  # folder beside the SQLite storage
SMALL_SECONDS = 60.0  # of training again: not worth asking whether a report is wanted
SMALL_SHARE = 0.1  # of the study's own training time, likewise


def main(argv: Sequence[str]) -> int:
    """Export the trials, or write the report; the exit code."""
    options = parser().parse_args(argv)
    from hpo.places import Places

    places = Places.resolve(options.storage, options.tracking_uri, options.experiment_name)
    if options.csv or options.parquet:
        from hpo.reports.export import check_files

        check_files(options.csv, options.parquet)
        _export(places, options.study_name, options.csv, options.parquet)
        if options.out is None:
            return 0
    return run_report(places, options.study_name, options.out, data=options.data)


def _export(places: Places, study_name: str | None, csv: Path | None, parquet: Path | None) -> None:
    from hpo.records import StudyRecord
    from hpo.reports.export import STDOUT, trial_frame, write_frame
    from hpo.reports.trials import read_trials
    from hpo.storage import existing_storage
    from hpo.study import load_study

    study = load_study(existing_storage(places.storage), study_name)
    space = StudyRecord.of(study).config.space
    frame = trial_frame(read_trials(study), list(space))
    written = write_frame(frame, csv, parquet)
    for path in written:
        line = f"{path}: {count(len(frame), 'trial')} of study {study.study_name}"
        print(line, file=sys.stderr if STDOUT in written else sys.stdout)


def run_report(
    places: Places, study_name: str | None, out: Path | None = None, *, data: str | None = None
) -> int:
    """Write the report, bring it into MLflow if the study is there, say where it is."""
    from hpo.reports.reporting import write_report
    from hpo.storage import existing_storage
    from hpo.study import load_study
    from hpo.summary import command, next_lines
    from hpo.tracking.once import bring_into_mlflow

    name = load_study(existing_storage(places.storage), study_name).study_name
    written = write_report(places, name, out or report_folder(places, name), data=data)
    print(f"report of study {name}: {written.page}\n{written.news}", flush=True)
    if written.is_kept:
        print(bring_into_mlflow(places, name))
    print("\n".join(next_lines({command("promote", name, places): "register the winner"})))
    return 0


def is_reported(places: Places, study: Study) -> bool:
    """Whether there is a report that was written after the last trial of a study ended."""
    from hpo.reports.reporting import PAGE

    page = report_folder(places, study.study_name) / PAGE
    ends = [trial.datetime_complete for trial in study.get_trials(deepcopy=False)]
    last = max((end.timestamp() for end in ends if end), default=float("inf"))
    return page.exists() and page.stat().st_mtime >= last


def report_at_end(places: Places, study_name: str, whole: Split, *, log: bool) -> str:
    """Write the report of a study that has just ended; what came of it, in a line or two.

    Whatever goes wrong with it is said and logged, but costs the study nothing. Where training
    the best trials again would take long, it is left to `python -m hpo.report`.

    Args:
        whole: the study's data and split.
        log: bring it into MLflow, too.
    """
    started = time.monotonic()
    try:
        if training := _long_training(places, study_name):
            return f"no report yet: it would train for about {training:,.0f} s (hpo.report)"
        from hpo.reports.reporting import write_report
        from hpo.tracking.once import bring_into_mlflow

        written = write_report(places, study_name, report_folder(places, study_name), whole=whole)
        seconds = time.monotonic() - started
        lines = [f"report: {written.page} ({seconds:.1f} s)", written.news]
        if log and written.is_kept:
            lines.append(bring_into_mlflow(places, study_name))
        return "\n".join(lines)
    except RecsysError as error:
        return f"no report: {error}"
    except Exception as error:
        logging.getLogger(__name__).warning("the report failed", exc_info=error)
        return f"no report: {type(error).__name__}: {error}"


def _long_training(places: Places, study_name: str) -> float | None:
    """Seconds that a report would train, if they are many; None if it is quickly done."""
    from hpo.records import StudyRecord, comparable
    from hpo.reports.trials import complete, default_trial, read_trials
    from hpo.storage import existing_storage
    from hpo.study import load_study

    study = load_study(existing_storage(places.storage), study_name)
    trials = comparable(StudyRecord.of(study), read_trials(study))
    best, default = next(iter(complete(trials)), None), default_trial(trials)
    if best is None:
        return None
    again = 2 * best.seconds + (default.seconds if default else 0.0)  # twice: two splits
    limit = max(SMALL_SECONDS, SMALL_SHARE * sum(trial.seconds for trial in trials))
    return again if again > limit else None


def report_folder(places: Places, study_name: str) -> Path:
    """Where a study's report goes: beside its SQLite storage, else in `studies`."""
    from hpo.storage import beside

    return beside(places.storage) / REPORTS / folder_name(study_name)


def folder_name(study_name: str) -> str:
    """The study's name as one folder of its own: it may hold slashes and dots."""
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in study_name)
    if safe == study_name:
        return safe
    return f"{safe}-{hashlib.sha256(study_name.encode()).hexdigest()[:8]}"  # v1.0 is not v1_0


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
        help=f"where the report goes (default: {REPORTS}/STUDY beside the storage)",
    )
    for name, more in (("csv", ", - is stdout;"), ("parquet", "")):
        result.add_argument(
            f"--{name}",
            type=Path,
            metavar="FILE",
            help=f"write all trials there (.{name}){more} and no report unless --out is given",
        )
    add_moved_data_argument(result)
    return result


if __name__ == "__main__":
    run_command(main)
