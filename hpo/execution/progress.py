"""What is told while a study runs: a line per trial, or JSON; hpo/live.py has the view."""

from __future__ import annotations

import json
import threading
from typing import Any, Protocol, TextIO

from optuna.trial import TrialState
from rich.console import Console

from hpo.execution.running_trial import Assignment
from hpo.study import FINISHED, Outcome
from recsys.evaluation import MetricName
from recsys.training import EpochResult

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "fail",
    TrialState.WAITING: "parked",
}


class Progress(Protocol):
    """Is told what happens, by several threads at once."""

    def started(self, assignment: Assignment) -> None: ...

    def epoch(self, assignment: Assignment, result: EpochResult) -> None: ...

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None: ...

    def note(self, message: str) -> None: ...


class LineProgress:
    """One line when a trial ends: for logs, pipes and CI.

    Args:
        n_finished: trials finished before this run.
        best: highest value before this run.
        objective: what the values are.
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
        """Nothing to say until the trial ends."""

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        """Too much for a log."""

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        with self._lock:
            # a log gets one line a trial; a terminal would break it in the middle of a word
            self._console.print(
                self.line(assignment, state, outcome),
                highlight=False,
                markup=False,
                soft_wrap=not self._console.is_terminal,
            )

    def line(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> str:
        """`[ 7/50] trial 6 complete recall_at_10 0.1871 (best) at epoch 22 of 32, 4.1 s, dim=..`"""
        value = max(assignment.values, default=0.0)
        better = state is TrialState.COMPLETE and value > self.best
        self.n_finished += state in FINISHED
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
        return (
            f"{head} {self.objective} {value:.4f}{mark} at epoch {outcome.best_epoch} "
            f"of {len(assignment.results)}, {outcome.seconds:.1f} s, {shown_params(assignment)}"
        )

    @property
    def n_trials(self) -> int:
        return self._n_trials

    def note(self, message: str) -> None:
        with self._lock:
            self._console.print(message, highlight=False, markup=False, soft_wrap=True)


class JsonProgress:
    """One JSON object a line, for programs: {"event": "started" | "epoch" | "ended" | "note", ...}.

    Args:
        out: flushed after each line.
    """

    def __init__(self, out: TextIO) -> None:
        self._out, self._lock = out, threading.Lock()

    def say(self, event: str, **values: Any) -> None:
        """Write one event."""
        line = json.dumps({"event": event, **values}, allow_nan=False)
        with self._lock:
            print(line, file=self._out, flush=True)

    def started(self, assignment: Assignment) -> None:
        self.say("started", trial=assignment.number, params=assignment.trial.params)

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        metrics = result.metrics.as_dict()
        self.say("epoch", trial=assignment.number, epoch=result.epoch, seconds=result.seconds,
                 train_loss=result.train_loss, **metrics)  # fmt: skip

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        same = assignment.same_as
        value = same.value if same else max(assignment.values, default=None)
        self.say("ended", trial=assignment.number, state=STATES[state],
                 **{assignment.objective: value}, **outcome.as_dict())  # fmt: skip

    def note(self, message: str) -> None:
        self.say("note", message=message)


def shown_params(assignment: Assignment) -> str:
    """Its parameters on one line."""
    return " ".join(f"{name}={value:.4g}" for name, value in assignment.trial.params.items())
