"""What a person sees while a study runs: a live view on a terminal, a line per trial elsewhere."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from optuna.trial import TrialState
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from hpo.assignment import FINISHED, Assignment, objective_value
from hpo.records import Outcome
from hpo.settings import OBJECTIVE
from recsys.epoch_result import EpochResult

BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 24
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
    """

    def __init__(self, console: Console, n_trials: int, n_finished: int, best: float) -> None:
        self._console, self._n_trials = console, n_trials
        self._lock = threading.Lock()
        self.n_finished, self.best = n_finished, best

    def started(self, assignment: Assignment) -> None:
        """Nothing to say until the trial ends."""

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        """Too much for a log."""

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        with self._lock:
            self._console.print(
                self.line(assignment, state, outcome), highlight=False, markup=False, soft_wrap=True
            )

    def line(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> str:
        """`[ 7/50] trial 6 complete recall_at_10 0.1871 (best) at epoch 22 of 32, 4.1 s, dim=..`"""
        value = objective_value(assignment.best) if assignment.best else 0.0
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
            f"{head} {OBJECTIVE} {value:.4f}{mark} at epoch {outcome.best_epoch} "
            f"of {len(assignment.results)}, {outcome.seconds:.1f} s, {_params(assignment)}"
        )

    @property
    def n_trials(self) -> int:
        return self._n_trials

    def note(self, message: str) -> None:
        with self._lock:
            self._console.print(message, highlight=False, markup=False, soft_wrap=True)


class LiveProgress:
    """The same lines above a live view: bar, best so far, and each worker's trial and curve."""

    def __init__(self, console: Console, lines: LineProgress) -> None:
        self._lines, self._started = lines, time.monotonic()
        self._running: dict[int, Assignment] = {}
        self._bar = Bar(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._task = self._bar.add_task("trials", total=lines.n_trials, left="")
        self._already = lines.n_finished
        self._live = Live(self, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __rich__(self) -> Group:
        lines = self._lines
        self._bar.update(self._task, completed=lines.n_finished, left=self._left())
        table = Table(box=None, padding=(0, 2), title=f"best {OBJECTIVE} so far: {lines.best:.4f}")
        for heading in ("trial", "epoch", OBJECTIVE, "curve", "parameters"):
            table.add_column(heading, no_wrap=True)
        for number, assignment in sorted(self._running.copy().items()):
            values = [objective_value(result) for result in assignment.results.copy()]
            table.add_row(
                str(number),
                f"{len(values)}/{assignment.config.epochs}",
                f"{max(values):.4f}" if values else "",
                sparkline(values),
                _params(assignment),
            )
        return Group(self._bar, table)

    def _left(self) -> str:
        done = self._lines.n_finished - self._already
        if done == 0:
            return ""
        per_trial = (time.monotonic() - self._started) / done
        seconds = per_trial * (self._lines.n_trials - self._lines.n_finished)
        return f"about {seconds // 60:.0f}:{seconds % 60:02.0f} left"

    def started(self, assignment: Assignment) -> None:
        self._running[assignment.number] = assignment

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        """The view reads the assignment itself."""

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        self._running.pop(assignment.number, None)
        self._lines.ended(assignment, state, outcome)

    def note(self, message: str) -> None:
        self._lines.note(message)


def sparkline(values: list[float]) -> str:
    """The newest values as block characters, scaled to their own range."""
    shown = values[-SPARK_WIDTH:]
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    top = len(BLOCKS) - 1
    return "".join(BLOCKS[round((value - low) / span * top) if span else 0] for value in shown)


def _params(assignment: Assignment) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in assignment.trial.params.items())
