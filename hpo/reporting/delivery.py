"""Delivery of a report: written where it belongs, copied into MLflow, announced to the user."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from optuna import Study

from hpo.config import Locations
from hpo.errors import ArtifactStoreError
from hpo.reporting.folders import report_folder
from hpo.reporting.report import EDITION, PAGE, edition, write_report
from hpo.study import (
    StudyRecord,
    best_complete,
    comparable,
    complete_best_first,
    default_trial,
    end_ms,
    existing_storage,
    load_named,
    load_newest,
    read_trials,
    send_files,
)
from recsys.data import Split
from recsys.errors import RecsysError

SMALL_SECONDS = 60.0  # training time that a report at the end may take in any case
SMALL_SHARE = 0.1  # share of the study's own training time that it may take


def run_report(
    locations: Locations,
    study_name: str | None,
    out: Path | None = None,
    *,
    data: str | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Write the report, copy it into MLflow if the study is there, and print its path.

    Args:
        locations: address of the study.
        study_name: name of the study; None: the newest.
        out: folder of the report; None: see `report_folder`.
        data: name or path of the study's data, if it has moved.
        say: called with the name of the newest study if none is named and there are several.

    Returns:
        The exit code.

    Raises:
        StudyError: there is no such study, none of its trials is COMPLETE, or the folder cannot be
            written.
        PromotionError: the data differs from the study's.
    """
    from hpo.config import PROMOTING, command, next_lines
    from hpo.tracking import bring_into_mlflow

    name = load_newest(existing_storage(locations.storage), study_name, say).study_name
    written = write_report(locations, name, out or report_folder(locations, name), data=data)
    print(f"report of study {name}: {written.page}\n{written.news}", flush=True)
    code = 0
    if written.is_kept:
        brought = bring_into_mlflow(locations, name)
        print(brought.line)
        code = brought.exit_code
    print("\n".join(written.conclusion))
    study = load_named(existing_storage(locations.storage), name)
    if unsent := send_files(locations, study):
        print(unsent)
    if StudyRecord.of(study).config.trainable is None:
        promote = command("promote", name, locations, data=data or "")
        print("\n".join(next_lines({promote: PROMOTING})))
    return ArtifactStoreError.exit_code if unsent else code


def is_reported(locations: Locations, study: Study) -> bool:
    """Return True if the report holds all trials that have ended, under today's settings.

    A page tells its trials itself: one that was made while the study ran may be younger than the
    end of a trial that it lacks.

    Args:
        locations: address of the study.
        study: the study.
    """
    page = report_folder(locations, study.study_name) / PAGE
    if not page.exists():
        return False
    trials, record = study.get_trials(deepcopy=False), StudyRecord.of(study)
    text = page.read_text(encoding="utf-8").rstrip()
    last = max((end / 1000 for trial in trials if (end := end_ms(trial))), default=float("inf"))
    is_younger = page.stat().st_mtime >= last
    if EDITION not in text:  # of version 0.1
        return is_younger and not (record.infeasible or record.changes)
    shown = comparable(record, trials)
    best, ended = best_complete(shown), [one.number for one in shown if one.state.is_finished()]
    number = None if best is None else best.number
    before = is_younger and text.endswith(edition(record, number, None))  # of version 0.2
    return before or text.endswith(edition(record, number, ended))


def report_at_end(
    locations: Locations, study_name: str, whole: Split, *, log: bool, data: str = ""
) -> tuple[str, int]:
    """Write the report of a study that has just ended.

    An error of the report is returned and logged, and never fails the study. If training the best
    trials again would take long, the line names the command `python -m hpo.report` instead.

    Args:
        locations: address of the study.
        study_name: name of the study.
        whole: the study's data and split.
        log: copy the report into MLflow, too.
        data: source of the data if it differs from the study's record; else "".

    Returns:
        One or a few lines on the outcome, and the exit code: 3 if MLflow lacks a part.
    """
    from hpo.config import command

    started = time.monotonic()
    try:
        if training := _long_training(locations, study_name):
            later = command("report", study_name, locations, data=data)
            wait = f"no report yet: it would train for about {training:,.0f} s"
            return f"{wait}; write it with: {later}", 0
        from hpo.tracking import bring_into_mlflow

        written = write_report(
            locations, study_name, report_folder(locations, study_name), whole=whole
        )
        seconds = time.monotonic() - started
        said = f"report: {written.page} ({seconds:.1f} s)"
        lines, code = [said, written.news], 0
        if log and written.is_kept:
            brought = bring_into_mlflow(locations, study_name)
            lines.append(brought.line)
            code = brought.exit_code
        return "\n".join([*lines, *written.conclusion]), code
    except RecsysError as error:
        return f"no report: {error}", 0
    except Exception as error:
        logging.getLogger(__name__).warning("the report failed", exc_info=error)
        return f"no report: {type(error).__name__}: {error}", 0


def _long_training(locations: Locations, study_name: str) -> float | None:
    """Return the seconds of training that a report would take; None if they are few."""
    study = load_named(existing_storage(locations.storage), study_name)
    trials = comparable(StudyRecord.of(study), read_trials(study))
    best, default = next(iter(complete_best_first(trials)), None), default_trial(trials)
    if best is None:
        return None
    # the best trial is trained twice, on two splits
    again = 2 * best.seconds + (default.seconds if default else 0.0)
    limit = max(SMALL_SECONDS, SMALL_SHARE * sum(trial.seconds for trial in trials))
    return again if again > limit else None
