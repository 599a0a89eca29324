"""What follows when a study has its trials: its report, and its promotion if that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from hpo.errors import StudyStopped
from hpo.progress import JsonProgress
from hpo.report import is_reported, report_at_end
from recsys.cli import INTERRUPTED

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from rich.console import Console

    from hpo.records import StudyRecord
    from hpo.request import Request, Speech
    from hpo.scheduler import Ended
    from recsys.errors import TrackingError
    from recsys.split import Split


def say_finished(
    events: TextIO, record: StudyRecord, ended: Ended, n_trials: int, best: FrozenTrial | None
) -> None:
    """The event of --json that ends a study."""
    found = {"trial": best.number, "value": best.value, "params": best.params} if best else None
    counts = {"n_finished": ended.n_finished, "n_trials": n_trials}
    about = {"study": record.config.name, "objective": record.config.objective}
    JsonProgress(events).say("finished", **about, reason=ended.reason, **counts, best=found)


def say_stopped(events: TextIO, name: str, error: StudyStopped) -> None:
    """The event of --json that ends a study which more trials would not mend."""
    JsonProgress(events).say("stopped", study=name, message=str(error))


def report(
    request: Request, study: Study, split: Split, tracking: TrackingError | None, console: Console
) -> int:
    """Write the report, unless there is one of all these trials already; the exit code."""
    if is_reported(request.places, study):
        return 0
    console.print("writing the report (Ctrl-C leaves it out, and loses no trial)")
    log = request.tracking and tracking is None  # MLflow is out of reach otherwise
    try:
        console.print(report_at_end(request.places, study.study_name, split, log=log))
    except KeyboardInterrupt:
        console.print("no report: interrupted")
        return INTERRUPTED
    return 0


def promote(request: Request, name: str, speech: Speech) -> int:
    """Promote the winner; the exit code."""
    from hpo.promotion import promote as promote_study
    from hpo.promotion_summary import summary

    source = request.config.data.source  # it may have moved since the study was made
    say = speech.people.print
    found = promote_study(request.places, name, data=source, say=say)
    say(summary(found, request.places))
    if request.json:
        place = found.registered
        JsonProgress(speech.programs).say(
            "promoted",
            study=name,
            trial=found.trial,
            passed=found.passed,
            version=place.version if place else None,
            role=place.role if place else None,
            refused=place.refused if place else None,
        )
    return 0 if found.passed else 1
