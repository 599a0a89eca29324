"""The live view on a terminal while a study runs."""

from __future__ import annotations

import time
from collections import Counter

from optuna.trial import TrialState
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as Bar,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from hpo.execution.progress import LineProgress, shown_params
from hpo.execution.running_trial import Assignment
from hpo.study import Outcome
from recsys.training import EpochResult

BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 24


class LiveProgress:
    """A line per ended trial above a live view: bar, best value, running trials, failures.

    Args:
        console: console of the terminal.
        lines: printer of the lines, which also counts trials and knows the best value.
        where: last line of the view, on the user interfaces that show the study.
    """

    def __init__(self, console: Console, lines: LineProgress, where: str) -> None:
        self._lines, self._started = lines, time.monotonic()
        self._where, self._causes = where, Counter[str]()
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
        """Start the view."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the view."""
        self._live.stop()

    def __rich__(self) -> Group:
        """Return the present view."""
        lines = self._lines
        self._bar.update(self._task, completed=lines.n_finished, left=self._left())
        best = f"best {lines.objective} so far: {lines.best:.4f}" if lines.best else "no result yet"
        table = Table(box=None, padding=(0, 1), title=best)
        for heading in ("trial", "epoch", lines.objective, "curve"):
            table.add_column(heading, no_wrap=True)
        table.add_column("parameters")  # the only column that rich may narrow, see `_cut`
        for number, assignment in sorted(self._running.copy().items()):
            values = assignment.values
            table.add_row(
                str(number),
                f"{len(values)}/{assignment.config.epochs}",
                f"{max(values):.4f}" if values else "",
                sparkline(values),
                _cut(shown_params(assignment)),
            )
        failed = ", ".join(f"{n} {cause}" for cause, n in self._causes.most_common())
        below = [f"without a result of their own: {failed}"] if failed else []
        return Group(self._bar, table, *[Text(line, "dim") for line in (*below, self._where)])

    def _left(self) -> str:
        """Return the estimated time left in words; "" before the first trial ends."""
        done = self._lines.n_finished - self._already
        if done == 0:
            return ""
        per_trial = (time.monotonic() - self._started) / done
        seconds = per_trial * (self._lines.n_trials - self._lines.n_finished)
        return f"about {seconds // 60:.0f}:{seconds % 60:02.0f} left"

    def started(self, assignment: Assignment) -> None:
        """Add a trial to the view."""
        self._running[assignment.number] = assignment

    def epoch(self, assignment: Assignment, result: EpochResult) -> None:
        """Do nothing: the view reads epochs from the assignment itself.

        Args:
            assignment: the trial.
            result: its last epoch.
        """

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None:
        """Remove a trial from the view, and print its line.

        Args:
            assignment: the trial.
            state: its state; WAITING if it was parked.
            outcome: its outcome.
        """
        self._running.pop(assignment.number, None)
        if outcome.cause:
            self._causes[outcome.cause] += 1
        self._lines.ended(assignment, state, outcome)

    def note(self, message: str) -> None:
        """Print a message above the view."""
        self._lines.note(message)


def _cut(text: str) -> Text:
    """Return text on one line that ends in an ellipsis where its column is too narrow."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def sparkline(values: list[float]) -> str:
    """Return the newest values as block characters, scaled to their own range."""
    shown = values[-SPARK_WIDTH:]
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    top = len(BLOCKS) - 1
    return "".join(BLOCKS[round((value - low) / span * top) if span else 0] for value in shown)
