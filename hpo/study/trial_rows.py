"""A study's trials as plain rows: what reports, exports and comparisons are made from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from optuna import Study

from hpo.config import SearchSpace
from hpo.study.records import Attempt, Cause, Outcome, StudyRecord


@dataclass(frozen=True)
class TrialRow:
    """One trial as the storage has it.

    Attributes:
        number: in the study, from 0.
        state: Optuna's: COMPLETE, PRUNED, FAIL, RUNNING or WAITING.
        value: the objective of its best epoch, of a PRUNED trial the best until it ended; None
            for all other states.
        params: what was sampled.
        curve: epoch -> the objective.
        best_epoch: 0 if no epoch finished.
        seconds: wall time of its epochs.
        evaluation_seconds: the evaluations' part of it.
        cause: why it FAILed or was not trained.
        attempt: None if it never started.
        started, ended: local time, as Optuna keeps it.
        is_default: whether it has the default configuration, as trial 0.
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
        """The value; minus infinity where there is none."""
        return float("-inf") if self.value is None else self.value

    def shown(self, name: str) -> str:
        """A parameter's value; "-" where its condition did not hold."""
        return f"{self.params[name]:.4g}" if name in self.params else "-"

    @property
    def became(self) -> str:
        """The state in words: complete, pruned, failed, running, waiting."""
        return "failed" if self.state == "FAIL" else self.state.lower()

    @property
    def other_seconds(self) -> float:
        """Wall time between start and end that went into no epoch: set-up and bookkeeping."""
        if self.started is None or self.ended is None:
            return 0.0
        return max(0.0, (self.ended - self.started).total_seconds() - self.seconds)


def read_trials(study: Study) -> list[TrialRow]:
    """All trials, by number."""
    return list(_rows(study))


def _rows(study: Study) -> Iterator[TrialRow]:
    space = SearchSpace(StudyRecord.of(study).config)
    for trial in study.get_trials(deepcopy=False):
        outcome = Outcome.of(trial) or Outcome(0, 0.0)
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
            attempt=Attempt.of(trial),
            started=trial.datetime_start,
            ended=trial.datetime_complete,
            is_default=space.is_default(trial.params),
        )


def complete(trials: Sequence[TrialRow]) -> list[TrialRow]:
    """The COMPLETE ones, best first; of equals the earliest."""
    found = [trial for trial in trials if trial.state == "COMPLETE"]
    return sorted(found, key=lambda trial: (-trial.score, trial.number))


def default_trial(trials: Sequence[TrialRow]) -> TrialRow | None:
    """The COMPLETE trial of the default configuration; None if there is none."""
    return next((trial for trial in complete(trials) if trial.is_default), None)


def best_so_far(trials: Sequence[TrialRow]) -> list[float]:
    """The highest COMPLETE value among the first 1, 2, ... of these trials, in their order.

    Minus infinity before the first.
    """
    values = (t.score if t.state == "COMPLETE" else float("-inf") for t in trials)
    return list(itertools.accumulate(values, max))
