"""The end of a study whose storage fails, and of a slot that never got a place to train."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError

from hpo.errors import StudyStopped
from hpo.execution import scheduler as scheduler_module
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from recsys.config import TrainConfig
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    make_ledger,
    saturating,
    states,
    study_config,
)

AWAY = StorageInternalError("An exception is raised during the commit.")


def fail_in_trial_1(assignment: Assignment) -> None:
    if assignment.number == 1:
        raise AWAY


def stop_in_trial_1(ledger: Ledger) -> None:
    config = study_config()
    scheduler = Scheduler(
        ledger, [ScriptedRunner(saturating)], MemoryProgress(fail_in_trial_1), config.n_trials
    )
    with pytest.raises(StudyStopped, match="storage failed: .*same command again"):
        scheduler.run()


def answer_after(ledger: Ledger, n_failures: float, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ledger's storage fails so often while trials are settled; the list has the calls."""
    real, calls = ledger.fail_running, [0]

    def fail_running(*, owned: bool) -> None:
        calls[0] += 1
        if calls[0] <= n_failures:
            raise AWAY
        real(owned=owned)

    monkeypatch.setattr(ledger, "fail_running", fail_running)
    return calls


def test_a_storage_that_answers_a_moment_later_keeps_no_running_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "SETTLE_POLL_SECONDS", 0.01)
    ledger = make_ledger(tmp_path, study_config())
    calls = answer_after(ledger, 3, monkeypatch)
    stop_in_trial_1(ledger)
    assert calls == [4]
    assert states(tmp_path) == Counter(COMPLETE=1, FAIL=1)


def test_a_storage_that_stays_away_leaves_its_trial_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(scheduler_module, "SETTLE_POLL_SECONDS", 0.01)
    config = study_config()
    ledger = make_ledger(tmp_path, config)
    answer_after(ledger, float("inf"), monkeypatch)
    stop_in_trial_1(ledger)
    assert states(tmp_path) == Counter(COMPLETE=1, RUNNING=1)
    again = make_ledger(tmp_path, config)
    again.recover()
    runners = [ScriptedRunner(saturating)]
    ended = Scheduler(again, runners, MemoryProgress(), config.n_trials).run()
    assert ended == RunEnd("complete", 6)
    assert "RUNNING" not in states(tmp_path)


def test_a_bug_while_trials_are_settled_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make_ledger(tmp_path, study_config())

    def stumble(*, owned: bool) -> None:
        raise KeyError(f"owned={owned}")

    monkeypatch.setattr(ledger, "fail_running", stumble)
    scheduler = Scheduler(
        ledger, [ScriptedRunner(saturating)], MemoryProgress(fail_in_trial_1), n_trials=6
    )
    with pytest.raises(KeyError, match="owned=True"):
        scheduler.run()


def test_a_slot_that_never_gets_a_place_ends_with_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "POLL_SECONDS", 0.01)

    class Waiting(ScriptedRunner):
        def is_ready(self) -> bool:
            return False

    config = study_config()
    waiting = Waiting(saturating)
    runners = [waiting, ScriptedRunner(saturating)]
    ledger = make_ledger(tmp_path, config)
    ended = Scheduler(ledger, runners, MemoryProgress(), config.n_trials).run()
    assert ended == RunEnd("complete", 6)
    assert states(tmp_path) == Counter(COMPLETE=6)


def test_a_slot_that_gets_its_place_late_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "POLL_SECONDS", 0.01)

    class Late(ScriptedRunner):
        asked = 0

        def is_ready(self) -> bool:
            self.asked += 1
            return self.asked > 3

    config = study_config()
    ledger = make_ledger(tmp_path, config)
    ended = Scheduler(ledger, [Late(saturating)], MemoryProgress(), config.n_trials).run()
    assert ended == RunEnd("complete", 6)


class Clumsy(Scheduler):
    """A scheduler whose look at the clock fails as told, once."""

    fails: BaseException | None = None

    def _look_at_clock(self, deadline: float) -> None:
        error, self.fails = self.fails, None
        if error is not None:
            raise error
        super()._look_at_clock(deadline)

    def park(self, reason: str, seconds: float = math.inf) -> None:
        if reason == "interrupted":
            raise KeyboardInterrupt
        super().park(reason, seconds)


def slow(config: TrainConfig) -> Iterator[float]:
    del config
    for epoch in range(1, 1001):
        time.sleep(0.01)
        yield epoch / 1000


@pytest.mark.parametrize("error", [OSError("stale handle"), KeyboardInterrupt()])
def test_whatever_happens_to_the_main_thread_all_slots_end_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Since the lock of the study is released then."""
    monkeypatch.setattr(scheduler_module, "POLL_SECONDS", 0.01)
    runners = [ScriptedRunner(slow) for _ in range(2)]
    ledger = make_ledger(tmp_path, study_config())
    scheduler = Clumsy(ledger, runners, MemoryProgress(), 6, takes_signals=False)
    scheduler.fails = error
    if isinstance(error, KeyboardInterrupt):  # and a second one in the middle of parking
        assert scheduler.run().reason == "interrupted"
    else:
        with pytest.raises(OSError, match="stale handle"):
            scheduler.run()
    assert all(runner.killed and runner.began is None for runner in runners)
    assert "RUNNING" not in states(tmp_path)
