"""A study's trials as plain rows, for reports, exports and comparisons."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from optuna import Study
from optuna.trial import FrozenTrial

from hpo.config import SearchSpace
from hpo.study.records import Attempt, Cause, Outcome, StudyRecord, end_ms

QUARTER = timedelta(minutes=15)


@dataclass(frozen=True)
class TrialRow:
    """One trial as the storage has it.

    Attributes:
        number: number in the study, from 0.
        state: Optuna's: COMPLETE, PRUNED, FAIL, RUNNING or WAITING.
        value: the objective at the best epoch; for a PRUNED trial the best value until it ended;
            None for all other states.
        params: sampled hyperparameters.
        curve: the objective by epoch.
        best_epoch: number of the best epoch; 0 if no epoch finished.
        seconds: wall time of all epochs.
        evaluation_seconds: wall time of the evaluations, a part of `seconds`.
        cause: reason why the trial has no result of its own; None if it has one.
        attempt: the trial's attempt; None if it never started.
        started: start in local time of this machine, without time zone; None if the trial never
            started.
        ended: end, likewise; None if the trial has not ended.
        is_default: True if hpo ran the trial with the default configuration, as trial 0.
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, float]
    curve: Mapping[int, float]
    best_epoch: int
    seconds: float
    evaluation_seconds: float
    cause: Cause | None
    attempt: Attempt | None
    started: datetime | None
    ended: datetime | None
    is_default: bool = False

    @property
    def score(self) -> float:
        """Return the value; minus infinity where there is none."""
        return float("-inf") if self.value is None else self.value

    def shown(self, name: str) -> str:
        """Return a parameter's value as text; "-" where its condition did not hold."""
        return f"{self.params[name]:.4g}" if name in self.params else "-"

    @property
    def became(self) -> str:
        """Return the state in words: complete, pruned, failed, running, waiting."""
        return "failed" if self.state == "FAIL" else self.state.lower()

    @property
    def other_seconds(self) -> float:
        """Return the wall time between start and end outside of epochs: set-up and bookkeeping."""
        if self.started is None or self.ended is None:
            return 0.0
        return max(0.0, (self.ended - self.started).total_seconds() - self.seconds)


def read_trials(study: Study) -> list[TrialRow]:
    """Return all trials of a study, by number."""
    return list(_rows(study))


def _rows(study: Study) -> Iterator[TrialRow]:
    """Yield the trials by number."""
    space = SearchSpace(StudyRecord.of(study).config)
    for trial in study.get_trials(deepcopy=False):
        outcome, attempt = Outcome.of(trial) or Outcome(0, 0.0), Attempt.of(trial)
        value = None
        if trial.state.name == "COMPLETE":
            value = trial.value
        elif trial.state.name == "PRUNED":
            value = max(trial.intermediate_values.values(), default=None)
        yield TrialRow(
            number=trial.number,
            state=trial.state.name,
            value=value,
            params=trial.params,
            curve=dict(sorted(trial.intermediate_values.items())),
            best_epoch=outcome.best_epoch,
            seconds=outcome.seconds,
            evaluation_seconds=outcome.usage.get("evaluation_seconds", 0.0),
            cause=outcome.cause,
            attempt=attempt,
            **_moments(trial),
            is_default=attempt is not None and space.is_default(trial.params),
        )


def _moments(trial: FrozenTrial) -> dict[str, datetime | None]:
    """Return start and end of a trial as local times of this machine, without time zone.

    Optuna's times are local ones of the launcher's machine. Time zones differ by quarters of an
    hour, and our own record of the end says by how many.
    """
    began, done, ended = trial.datetime_start, trial.datetime_complete, end_ms(trial)
    if ended is None or done is None:
        return {"started": began, "ended": None}
    here = datetime.fromtimestamp(ended / 1000)  # noqa: DTZ006
    shift = QUARTER * round((here - done) / QUARTER)
    return {"started": began and began + shift, "ended": done + shift}


def complete_best_first(trials: Sequence[TrialRow]) -> list[TrialRow]:
    """Return the COMPLETE trials, best first; of equals the earliest."""
    found = [trial for trial in trials if trial.state == "COMPLETE"]
    return sorted(found, key=lambda trial: (-trial.score, trial.number))


def default_trial(trials: Sequence[TrialRow]) -> TrialRow | None:
    """Return the COMPLETE trial of the default configuration; None if there is none."""
    return next((trial for trial in complete_best_first(trials) if trial.is_default), None)


def best_so_far(trials: Sequence[TrialRow]) -> list[float]:
    """Return the highest COMPLETE value among the first 1, 2, ... of these trials, in their order.

    Values before the first COMPLETE trial are minus infinity.
    """
    values = (t.score if t.state == "COMPLETE" else float("-inf") for t in trials)
    return list(itertools.accumulate(values, max))
