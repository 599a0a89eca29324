"""A parked trial goes on as the training that it was, or its config starts as a new attempt."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import FrozenTrial

from hpo.execution import ledger as ledger_module
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.study.records import Attempt, Outcome, epochs_of
from tests.support.scripted import MemoryProgress, ScriptedRunner, make_study, study_config

CURVE = [0.1, 0.2, 0.3, 0.4]
CONFIG = study_config(n_trials=1, pruner={"name": "none"})


def run(
    folder: Path, curve: list[float], progress: MemoryProgress, *, park: bool = False
) -> RunEnd:
    """Run the study's only trial; park it after its second epoch."""
    scheduler: Scheduler

    def stop(assignment: Assignment) -> None:
        if park and len(assignment.results) == 2:
            scheduler.park("interrupted")

    if park:
        progress = MemoryProgress(stop)
    runner = ScriptedRunner(lambda _: curve)
    opened = Ledger(make_study(folder, CONFIG), CONFIG, folder / "parked")
    scheduler = Scheduler(opened, [runner], progress, CONFIG.n_trials)
    return scheduler.run()


def resumed(folder: Path, curve: list[float]) -> tuple[list[FrozenTrial], MemoryProgress]:
    progress = MemoryProgress()
    assert run(folder, curve, progress) == RunEnd("complete", 1)
    return make_study(folder, CONFIG).trials, progress


def assert_starts_anew(trials: list[FrozenTrial], curve: list[float], why: str) -> None:
    old, new = trials
    outcome, was, now = Outcome.of(old), Attempt.of(old), Attempt.of(new)
    assert outcome is not None
    assert was is not None
    assert now is not None
    assert (old.state.name, outcome.cause) == ("FAIL", "interrupted")
    assert why in outcome.message
    assert "\n" not in outcome.message
    assert epochs_of(old)["recall_at_10"] == CURVE[:2], "what it had shown stays"
    assert (new.state.name, new.value, new.params) == ("COMPLETE", max(curve), old.params)
    assert epochs_of(new)["recall_at_10"] == curve, "of one training only"
    assert (now.number, now.origin, now.seed) == (2, 0, was.seed)


def test_without_its_snapshot_it_starts_at_its_first_epoch_and_says_so(tmp_path: Path) -> None:
    assert run(tmp_path, CURVE, MemoryProgress(), park=True).reason == "interrupted"
    (trial,), progress = resumed(tmp_path, CURVE)
    assert epochs_of(trial)["recall_at_10"] == CURVE
    (note,) = progress.notes
    assert note.startswith("trial 0 was parked and starts again at its first epoch: ")
    assert "trial-0.safetensors" in note


def test_told_epochs_that_differ_are_another_training(tmp_path: Path) -> None:
    run(tmp_path, CURVE, MemoryProgress(), park=True)
    other = [0.1, 0.25, 0.3, 0.35]
    trials, _ = resumed(tmp_path, other)
    assert_starts_anew(trials, other, "epoch 2 came out otherwise than before it was parked")


def test_another_kind_of_processor_is_another_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "processor_of", lambda _: "CPU A")
    run(tmp_path, CURVE, MemoryProgress(), park=True)
    monkeypatch.setattr(ledger_module, "processor_of", lambda _: "GPU B")
    trials, _ = resumed(tmp_path, CURVE)
    assert_starts_anew(trials, CURVE, "parked on CPU A with 1 thread, and GPU B with 1 thread")
    found = [attempt.processor for trial in trials if (attempt := Attempt.of(trial))]
    assert found == ["CPU A", "GPU B"]


def test_snapshots_that_nobody_needs_go_with_the_end_of_the_study(tmp_path: Path) -> None:
    """Such as one of a trial that went on elsewhere."""
    assert run(tmp_path, CURVE, MemoryProgress(), park=True).reason == "interrupted"
    left = tmp_path / "parked" / "of-another-trial"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"a snapshot")
    resumed(tmp_path, CURVE)
    assert not left.parent.exists()
