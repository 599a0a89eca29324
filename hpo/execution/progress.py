"""Output while a study runs: a line per trial, or JSON; `hpo.execution.live_view` has the view."""

from __future__ import annotations

import json
import threading
from typing import Any, Protocol, TextIO

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from hpo.errors import StudyStopped
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.study import COUNTED, Outcome, StudyRecord
from recsys.evaluation import MetricName
from recsys.training import EpochResult

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "fail",
    TrialState.WAITING: "parked",
}


class Progress(Protocol):
    """The listener to the events of a running study; several threads call it at once."""

    def started(self, assignment: Assignment) -> None:
        """Handle the start of a trial."""

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        """Handle a recorded epoch.

        Args:
            assignment: the trial.
            result: its last epoch.
        """

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        """Handle the end of a trial.

        Args:
            assignment: the trial.
            state: its state; WAITING if it was parked.
            outcome: its outcome.
        """

    def note(self, message: str) -> None:
        """Handle a message for people."""


class LineProgress:
    """Output of one line when a trial ends, for logs, pipes and CI.

    Args:
        console: console for the lines.
        n_trials: number of trials asked for.
        n_finished: number of trials finished before this run.
        best: highest value before this run.
        objective: the study's objective.

    Attributes:
        n_finished: number of trials finished so far.
        best: highest value so far.
        objective: the study's objective.
    """

    def __init__(
        self,
        console: Console,
        n_trials: int,
        n_finished: int,
        best: float,
        objective: MetricName,
    ) -> None:
        self._console, self._n_trials = console, n_trials
        self._lock = threading.Lock()
        self.n_finished, self.best, self.objective = n_finished, best, objective

    def started(self, assignment: Assignment) -> None:
        """Do nothing: the trial's line comes at its end."""

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        """Do nothing: a line per epoch is too much for a log.

        Args:
            assignment: the trial.
            result: its last epoch.
        """

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        """Print the line of a trial.

        Args:
            assignment: the trial.
            state: its state; WAITING if it was parked.
            outcome: its outcome.
        """
        with self._lock:
            # a log gets one line per trial; on a terminal rich wraps it between words
            self._console.print(
                self.line(assignment, state, outcome),
                highlight=False,
                markup=False,
                soft_wrap=not self._console.is_terminal,
            )

    def line(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> str:
        """Return the line of an ended trial, and count it.

        For example `[ 7/50] trial 6 complete recall_at_10 0.1871 (best) at epoch 22 of 32, 4.1 s,
        dim=64`.

        Args:
            assignment: the trial.
            state: its state; WAITING if it was parked.
            outcome: its outcome.
        """
        value = max(assignment.values, default=0.0)
        better = state is TrialState.COMPLETE and value > self.best and not assignment.broken
        self.n_finished += state in COUNTED
        self.best = value if better else self.best
        count = f"[{self.n_finished:>{len(str(self.n_trials))}}/{self.n_trials}]"
        head = f"{count} trial {assignment.number} {STATES[state]}"
        if outcome.cause:
            return f"{head} ({outcome.cause}): {outcome.message.splitlines()[0]}"
        if state is TrialState.WAITING:
            return f"{head} after epoch {len(assignment.results)}"
        if outcome.same_as is not None:
            return f"{head}, not trained again: the same config as trial {outcome.same_as}"
        mark = " (best)" if better else ""
        if assignment.broken and state is TrialState.COMPLETE:
            mark = f" (cannot win: {assignment.broken})"
        return (
            f"{head} {self.objective} {value:.4f}{mark} at epoch {outcome.best_epoch} "
            f"of {len(assignment.results)}, {outcome.seconds:.1f} s, {shown_params(assignment)}"
        )

    @property
    def n_trials(self) -> int:
        """Return the number of trials asked for."""
        return self._n_trials

    def note(self, message: str) -> None:
        """Print a message."""
        with self._lock:
            self._console.print(message, highlight=False, markup=False, soft_wrap=True)


class JsonProgress:
    """Output of one JSON object per line, for programs.

    The key "event" is "started", "epoch", "ended" or "note", or another one given to `say`.

    Args:
        out: stream of the events, flushed after each line.
    """

    def __init__(self, out: TextIO) -> None:
        self._out, self._lock = out, threading.Lock()

    def say(self, event: str, **values: Any) -> None:
        """Write one event.

        Args:
            event: name of the event.
            values: further keys of the object.
        """
        line = json.dumps({"event": event, **values}, allow_nan=False)
        with self._lock:
            print(line, file=self._out, flush=True)

    def started(self, assignment: Assignment) -> None:
        """Write the event of a trial's start."""
        self.say("started", trial=assignment.number, params=assignment.trial.params)

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        """Write the event of an epoch.

        Args:
            assignment: the trial.
            result: its last epoch.
        """
        metrics = result.metrics.as_dict()
        self.say("epoch", trial=assignment.number, epoch=result.epoch, seconds=result.seconds,
                 train_loss=result.train_loss, **metrics)  # fmt: skip

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        """Write the event of a trial's end.

        Args:
            assignment: the trial.
            state: its state; WAITING if it was parked.
            outcome: its outcome.
        """
        same = assignment.same_as
        value = same.value if same else max(assignment.values, default=None)
        self.say("ended", trial=assignment.number, state=STATES[state], broken=assignment.broken,
                 **{assignment.objective: value}, **outcome.as_dict())  # fmt: skip

    def note(self, message: str) -> None:
        """Write a message as an event."""
        self.say("note", message=message)


def shown_params(assignment: Assignment) -> str:
    """Return a trial's parameters on one line."""
    return " ".join(f"{name}={value:.4g}" for name, value in assignment.trial.params.items())


def say_finished(
    events: TextIO, record: StudyRecord, ended: RunEnd, n_trials: int, best: FrozenTrial | None
) -> None:
    """Write the last --json event of a study that ended.

    Args:
        events: stream of the events.
        record: record of the study.
        ended: reason and number of finished trials.
        n_trials: number of trials asked for.
        best: the best trial; None if no trial is complete.
    """
    found = {"trial": best.number, "value": best.value, "params": best.params} if best else None
    counts = {"n_finished": ended.n_finished, "n_trials": n_trials}
    about = {"study": record.config.name, "objective": record.config.objective}
    JsonProgress(events).say("finished", **about, reason=ended.reason, **counts, best=found)


def say_stopped(events: TextIO, name: str, error: StudyStopped) -> None:
    """Write the last --json event of a study stopped by an error.

    Args:
        events: stream of the events.
        name: name of the study.
        error: the error that stopped it.
    """
    JsonProgress(events).say("stopped", study=name, message=str(error))
