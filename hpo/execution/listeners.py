"""Listeners of programs: callbacks on the end of each trial, and the live view in a notebook."""

from __future__ import annotations

import html
import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState
from rich.console import Console

from hpo.execution.live_view import LiveProgress
from hpo.execution.progress import STATES, LineProgress, Progress
from hpo.execution.running_trial import Assignment
from hpo.study import Cause, Outcome
from recsys.training import EpochResult

VIEW_COLUMNS = 110  # width of the view in a cell
REFRESH_SECONDS = 0.5


@dataclass(frozen=True)
class TrialEnd:
    """The end of a trial, as callbacks see it.

    Attributes:
        number: number in the study, from 0.
        state: "complete", "pruned", "fail" or "parked".
        value: the objective at the best epoch so far; None if no epoch ended.
        params: sampled hyperparameters.
        epochs: number of epochs of the trial.
        seconds: wall time of these epochs.
        cause: reason why the trial has no result of its own; None if it has one.
        message: one sentence on the cause; "" without one.
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, float]
    epochs: int
    seconds: float
    cause: Cause | None
    message: str


class CallingProgress:
    """A listener that passes all events on and calls functions at the end of each trial.

    The functions are called one at a time, from the thread of the trial. An exception of theirs
    stops the study as a second Ctrl-C does, and `Scheduler.run` raises it.

    Args:
        progress: the listener that gets all events.
        callbacks: the functions.
    """

    def __init__(self, progress: Progress, callbacks: Sequence[Callable[[TrialEnd], None]]) -> None:
        self._progress, self._callbacks = progress, callbacks
        self._lock = threading.Lock()

    def started(self, assignment: Assignment) -> None:
        """Pass the event on."""
        self._progress.started(assignment)

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        """Pass the event on.

        Args:
            assignment: the trial.
            result: its last epoch.
        """
        self._progress.epoch(assignment, result)

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        """Pass the event on, and call the functions.

        Args:
            assignment: the trial.
            state: its state; WAITING if it was parked.
            outcome: its outcome.
        """
        self._progress.ended(assignment, state, outcome)
        copied = assignment.same_as
        end = TrialEnd(
            number=assignment.number,
            state=STATES[state],
            value=copied.value if copied else max(assignment.values, default=None),
            params=assignment.trial.params,
            epochs=len(assignment.results),
            seconds=outcome.seconds,
            cause=outcome.cause,
            message=outcome.message,
        )
        with self._lock:
            for callback in self._callbacks:
                callback(end)

    def note(self, message: str) -> None:
        """Pass the message on."""
        self._progress.note(message)


def in_notebook() -> bool:
    """Return True if this process is the kernel of a notebook, which can show a live view."""
    try:
        shell = get_ipython()  # type: ignore[name-defined]  # a builtin under IPython
    except NameError:
        return False
    return getattr(shell, "kernel", None) is not None


class NotebookProgress(LiveProgress):
    """The live view as one output of the cell, replaced while the study runs.

    It needs no widgets, so it is shown by every notebook and kept in the saved one.

    Args:
        console: console for the lines of ended trials.
        lines: printer of these lines.
        where: last line of the view.
    """

    def __init__(self, console: Console, lines: LineProgress, where: str) -> None:
        super().__init__(console, lines, where)
        self._shown: Any = None
        self._due, self._drawing = 0.0, threading.Lock()

    def __enter__(self) -> NotebookProgress:
        """Show the view."""
        from IPython.display import display

        self._shown = display(self._drawn(), display_id=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Show the last state, which stays."""
        self._refresh(now=True)

    def started(self, assignment: Assignment) -> None:
        """Add a trial to the view."""
        super().started(assignment)
        self._refresh()

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        """Show the epoch.

        Args:
            assignment: the trial.
            result: its last epoch.
        """
        super().epoch(assignment, result)
        self._refresh()

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        """Remove a trial from the view, and print its line.

        Args:
            assignment: the trial.
            state: its state; WAITING if it was parked.
            outcome: its outcome.
        """
        super().ended(assignment, state, outcome)
        self._refresh()

    def _refresh(self, *, now: bool = False) -> None:
        """Replace the view, at most every half second."""
        with self._drawing:
            if now or time.monotonic() > self._due:
                self._due = time.monotonic() + REFRESH_SECONDS
                self._shown.update(self._drawn())

    def _drawn(self) -> Any:
        """Return the view as preformatted text."""
        from IPython.display import HTML

        console = Console(file=io.StringIO(), width=VIEW_COLUMNS, force_jupyter=False)
        with console.capture() as captured:
            console.print(self)
        return HTML(f"<pre>{html.escape(captured.get())}</pre>")
