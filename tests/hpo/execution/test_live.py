"""What a person sees on a terminal while a study runs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from hpo.config.toml_file import load_study_config
from hpo.errors import WorkerDied
from hpo.execution.live_view import SPARK_WIDTH, LiveProgress, sparkline
from hpo.execution.objective import Objective, Stop
from hpo.execution.progress import LineProgress, shown_params
from hpo.execution.running_trial import Assignment
from tests.support.paths import STUDIES
from tests.support.scripted import ScriptedRunner, make_ledger, study_config

WHERE = "python -m hpo.dashboard  shows it at http://127.0.0.1:8080/dashboard/studies/1"


def screen(view: LiveProgress) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


def test_the_view_tells_all_of_it(tmp_path: Path) -> None:
    seen: list[str] = []
    ledger = make_ledger(tmp_path, study_config(n_trials=3))
    console = Console(file=io.StringIO(), width=120)
    view = LiveProgress(console, LineProgress(console, 3, 0, 0.0, "recall_at_10"), WHERE)

    def on_epoch(assignment: Assignment, _: object) -> None:
        seen.append(screen(view))

    objective = Objective(ledger, on_epoch, lambda: Stop.NO)
    for script in ([0.1, 0.3, 0.22], [0.2, WorkerDied("gone")]):
        assignment = ledger.start("scripted", 1)
        view.started(assignment)
        state, outcome = objective(assignment, ScriptedRunner(lambda _, s=script: s))
        view.ended(assignment, state, outcome)
        seen.append(screen(view))

    running, first, broken, last = seen[2], seen[3], seen[4], seen[5]
    assert "0/3" in running
    assert "3/4" in running  # epochs of trial 0, which has 4
    assert "0.3000" in running
    assert "▁█▅" in running
    assert "dim=8" in running
    assert "no result yet" in running
    assert "best recall_at_10 so far: 0.3000" in first
    assert "1/3" in first
    assert "left" in first
    assert "dim=" not in first  # nothing runs
    assert "▁" in broken
    assert "without a result of their own" not in broken
    assert "without a result of their own: 1 worker-died" in last
    assert all(WHERE in each for each in seen)


@pytest.mark.parametrize("file", ["two_tower.toml", "wide.toml"])
@pytest.mark.parametrize("width", [80, 100, 140])
def test_parameters_give_way_to_all_else(tmp_path: Path, file: str, width: int) -> None:
    config = load_study_config(STUDIES / file, {})
    ledger = make_ledger(tmp_path, config)
    console = Console(file=io.StringIO(), width=width)
    view = LiveProgress(console, LineProgress(console, 50, 0, 0.0, "recall_at_10"), WHERE)
    assignment = ledger.start("scripted", 1)
    view.started(assignment)
    values = [0.1 + 0.001 * epoch for epoch in range(SPARK_WIDTH)]
    Objective(ledger, lambda *_: None, lambda: Stop.NO)(
        assignment, ScriptedRunner(lambda _: values)
    )
    with console.capture() as capture:
        console.print(view)
    head, row = capture.get().splitlines()[2:4]
    assert head.split() == ["trial", "epoch", "recall_at_10", "curve", "parameters"]
    number, epoch, value, curve, *params = row.split()
    assert (number, value, curve) == ("0", f"{max(values):.4f}", sparkline(values))
    assert epoch == f"{len(values)}/{assignment.config.epochs}"
    assert params[0].startswith("dim=")
    assert ("…" in row) == (len(shown_params(assignment)) > width - 60)


def test_a_terminal_breaks_no_word_and_a_log_no_line(tmp_path: Path) -> None:
    shown = []
    for is_terminal in (True, False):
        ledger = make_ledger(tmp_path / str(is_terminal), study_config(n_trials=3))
        console = Console(file=io.StringIO(), width=40, force_terminal=is_terminal)
        lines = LineProgress(console, 3, 0, 0.0, "recall_at_10")
        assignment = ledger.start("scripted", 1)
        objective = Objective(ledger, lambda *_: None, lambda: Stop.NO)
        lines.ended(assignment, *objective(assignment, ScriptedRunner(lambda _: [0.1])))
        shown.append(console.file.getvalue().splitlines())  # type: ignore[attr-defined]
    wrapped, (log,) = shown
    assert len(wrapped) > 2
    assert " ".join(line.strip() for line in wrapped).split() == log.split()


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], ""),
        ([0.5], "▁"),
        ([0.5, 0.5], "▁▁"),
        ([0.0, 0.7, 0.2], "▁█▃"),
        ([9.0] + [float(i % 2) for i in range(24)], "▁█" * 12),
    ],
    ids=["nothing", "one", "flat", "a peak", "the newest 24 only"],
)
def test_sparkline(values: list[float], shown: str) -> None:
    assert sparkline(values) == shown
