"""The lock of a study, asked while it runs: lost, out of reach for a while, or for good."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hpo.errors import StorageUnreachable, StudyStopped
from hpo.execution import scheduler as scheduler_module
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.execution.store import storage_retries
from hpo.study import StudyLock
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    make_ledger,
    make_study,
    saturating,
    states,
    study_config,
)


class AskedHold(StudyLock):
    """A lock that answers as told: a sentence, or the error of a storage that is away."""

    answer: str | StorageUnreachable | None = None
    of_the_clock_alone = False

    def problem(self) -> str | None:
        is_clock = threading.current_thread() is threading.main_thread()
        if self.of_the_clock_alone and not is_clock:
            return None
        if isinstance(self.answer, StorageUnreachable):
            raise self.answer
        return self.answer


def run(folder: Path, hold: StudyLock, progress: MemoryProgress) -> RunEnd:
    config = study_config()
    runners = [ScriptedRunner(saturating) for _ in range(2)]
    ledger = make_ledger(folder, config)
    return Scheduler(ledger, runners, progress, config.n_trials, hold=hold).run()


def test_the_clock_s_check_does_not_wait_for_a_storage_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "LOCK_SECONDS", -1.0)
    monkeypatch.setattr(scheduler_module, "POLL_SECONDS", 0.001)
    hold = AskedHold()
    hold.of_the_clock_alone = True

    def away(_: Assignment) -> None:
        hold.answer = StorageUnreachable("no answer")

    progress = MemoryProgress(away)
    assert run(tmp_path, hold, progress).n_finished == 6
    assert not any("out of reach" in note for note in progress.notes)


def test_a_trial_starts_only_once_the_lock_is_known_to_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "LOCK_SECONDS", 1e9)
    monkeypatch.setattr(storage_retries, "SHORTEST_WAIT", 0.01)
    hold = AskedHold()
    hold.answer = StorageUnreachable("no answer")

    class Comes(MemoryProgress):
        """The storage answers as soon as its absence has been told."""

        def note(self, message: str) -> None:
            super().note(message)
            hold.answer = None

    progress = Comes()
    assert run(tmp_path, hold, progress).n_finished == 6
    assert any("out of reach (no answer)" in note for note in progress.notes)
    assert any("the storage is back" in note for note in progress.notes)


def test_a_lock_that_is_lost_stops_the_study_and_marks_no_trial_of_the_new_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "LOCK_SECONDS", 1e9)
    hold = AskedHold()

    def lose(assignment: Assignment) -> None:
        if assignment.number == 2 and hold.answer is None:
            study = make_study(tmp_path, study_config())
            study.ask()  # the new owner's, RUNNING
            hold.answer = "another launcher took the study"

    with pytest.raises(StudyStopped, match="another launcher took the study"):
        run(tmp_path, hold, MemoryProgress(lose))
    assert states(tmp_path)["RUNNING"] == 1
