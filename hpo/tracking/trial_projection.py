"""State, params, metrics and tags of a trial's run in MLflow, projected by pure functions.

Values and times come from the storage only. MLflow drops a repeated point only if its time is equal
too, so a single "now" would make every further sync add points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from hpo.config import Locations, SearchSpace
from hpo.search import broken_limits
from hpo.study import (
    Attempt,
    Outcome,
    StoredArtifact,
    StudyRecord,
    best_metrics,
    end_ms,
    epochs_of,
    first_start_ms,
    training_metrics,
)
from hpo.tracking.run_content import Content, Row
from hpo.tracking.urls import dashboard_path
from recsys.evaluation import MetricName

STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",  # ended early on purpose; MLflow has no better word
    TrialState.FAIL: "FAILED",
    TrialState.RUNNING: "RUNNING",
    TrialState.WAITING: "SCHEDULED",  # parked; a trial that never started has no run
}
MAX_VALUE = 5900  # characters; MLflow takes 6000 in a param, 8000 in a tag
MAX_NOTE = 7900  # a note is a tag


@dataclass(frozen=True)
class StudyView:
    """The facts about a study that its projection to MLflow needs.

    Attributes:
        name: name of the study.
        study_id: id in the storage, for addresses in optuna-dashboard.
        record: the study's record.
        dashboard_url: address of optuna-dashboard for users.
        kept: artifacts by trial number (None: the study itself).
        space: search space of the study.
    """

    name: str
    study_id: int
    record: StudyRecord
    dashboard_url: str = Locations.dashboard_url
    kept: Mapping[int | None, Sequence[StoredArtifact]] = field(default_factory=dict)
    space: SearchSpace = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", SearchSpace(self.record.config))

    def identity(self, kind: str) -> dict[str, str]:
        """Return the tags that identify a run. Names of studies are not unique; uids are."""
        return {"hpo.study_uid": self.record.uid, "hpo.kind": kind, "optuna.study": self.name}

    def dashboard(self, trial: int | None = None) -> str:
        """Return the address of the study, or of one trial, in optuna-dashboard."""
        return f"{self.dashboard_url}{dashboard_path(self.study_id, trial)}"


def best_name(objective: MetricName) -> str:
    """Return the name of the metric that ranks trials, for instance `best_recall_at_10`.

    The best value of the study so far has the same name.
    """
    return f"best_{objective}"


def project_trial(view: StudyView, trial: FrozenTrial, parent: str) -> Content | None:
    """Return the content of a trial's run; None if the trial never started.

    Args:
        view: the study.
        trial: the trial.
        parent: id of the study's run.
    """
    start = first_start_ms(trial)
    if start is None:
        return None
    rows, objective = list(_epoch_rows(trial)), view.record.config.objective
    summary = None
    if trial.state.is_finished():
        rows += _lost_rows(trial, start, objective)
        summary = _summary_row(trial, objective)
    return Content(
        trial=trial.number,
        name=f"trial-{trial.number:03}",
        start_ms=start,
        status=STATUS[trial.state],
        end_ms=end_ms(trial),
        params=_trial_params(view, trial),
        rows=[*rows, summary] if summary else rows,
        former=[*rows, summary._replace(step=_best_epoch(trial))] if summary else (),
        tags={"mlflow.parentRunId": parent, **_trial_tags(view, trial)},
        description=f"[Trial {trial.number} in optuna-dashboard]({view.dashboard(trial.number)})",
        files=view.kept.get(trial.number, ()),
    )


def projection_error(trial: FrozenTrial, error: Exception) -> str:
    """Return a line on a trial that cannot be projected.

    Args:
        trial: the trial; only another program, or a change by hand, can store such a one.
        error: what its projection raised.
    """
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return f"trial {trial.number} cannot be shown in MLflow: {reason}"


def _trial_params(view: StudyView, trial: FrozenTrial) -> dict[str, str]:
    """Return the whole config of a trial; {} while the trial still draws its params.

    Hyperparameters that a newer version has added since the study began are left out. MLflow can
    change no param, so with them the runs of earlier trials would have to be replaced.
    """
    attempt = Attempt.of(trial)
    if attempt is None or not view.space.is_complete(trial.params):
        return {}
    values, config = view.space.config(trial.params, attempt.seed).as_dict(), view.record.config
    known = {*config.base, *config.space, "seed"}
    return {name: str(value) for name, value in values.items() if name in known}


def _trial_tags(view: StudyView, trial: FrozenTrial) -> dict[str, str]:
    attempt, outcome = Attempt.of(trial), Outcome.of(trial)
    tags = {
        "optuna.trial": str(trial.number),
        "optuna.state": trial.state.name,
        "hpo.dashboard": view.dashboard(trial.number),
    }
    if attempt:
        facts = {name: value for name, value in attempt.as_dict().items() if value is not None}
        tags |= {f"hpo.{name}": str(value) for name, value in facts.items()}
        tags["hpo.attempt"] = tags.pop("hpo.number")
        tags.pop("hpo.started_ms", None)  # the same as the run's start
    if outcome:
        tags |= {"hpo.cause": outcome.cause or "", "hpo.message": outcome.message}
        tags["hpo.traceback"] = outcome.traceback[-MAX_VALUE:]
        tags["hpo.same_as"] = "" if outcome.same_as is None else str(outcome.same_as)
    if trial.number in view.record.infeasible:
        tags["hpo.broken"] = broken_limits(view.record.config, best_metrics(trial))
    return view.identity("trial") | {name: cut(value) for name, value in tags.items() if value}


def cut(value: str, limit: int = MAX_VALUE) -> str:
    """Return the value, shortened to the length that MLflow takes."""
    return value if len(value) <= limit else value[:limit] + "..."


def _epoch_rows(trial: FrozenTrial) -> Iterator[Row]:
    columns = dict(epochs_of(trial))
    epochs, times = columns.pop("epoch", []), columns.pop("time_ms", [])
    names = tuple(columns)
    for epoch, time_ms, *values in zip(epochs, times, *columns.values(), strict=True):
        yield Row(int(epoch), int(time_ms), names, tuple(values))


def _lost_rows(trial: FrozenTrial, start_ms: int, objective: MetricName) -> Iterator[Row]:
    """Yield the epochs that the pruner saw but whose times were lost with their launcher.

    Their times continue at the pace of the epochs before. Without any epoch before, the lost epochs
    divide the duration of the trial. A trial of another program may have reported at step 0 only.
    """
    columns = epochs_of(trial)
    known, times = columns.get("epoch", []), columns.get("time_ms", [])
    lost = sorted(set(trial.intermediate_values) - {int(epoch) for epoch in known})
    ended = end_ms(trial)
    if not lost or ended is None:
        return
    pace = (times[-1] - start_ms) / known[-1] if known else (ended - start_ms) / max(1, lost[-1])
    for step in lost:
        time_ms = min(int(start_ms + pace * step), ended)
        yield Row(step, time_ms, (objective,), (trial.intermediate_values[step],))


def _summary_row(trial: FrozenTrial, objective: MetricName) -> Row | None:
    """Return the metrics that have one value per trial; None without an outcome.

    The row has step 0, for which MLflow draws bars instead of curves.
    """
    outcome, ended = Outcome.of(trial), end_ms(trial)
    if outcome is None or ended is None:
        return None
    values = {"seconds": outcome.seconds, **training_metrics(outcome.usage)}
    if trial.state == TrialState.COMPLETE:  # other trials have no result to rank
        assert trial.value is not None, f"trial {trial.number} is COMPLETE without a value"
        values |= {"best_epoch": outcome.best_epoch, best_name(objective): trial.value}
    return Row.of(0, ended, **values)


def _best_epoch(trial: FrozenTrial) -> int:
    outcome = Outcome.of(trial)
    return outcome.best_epoch if outcome else 0
