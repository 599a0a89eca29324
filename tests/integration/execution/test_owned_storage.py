"""The launcher's memory of its trials says what the database says, at a constant cost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.execution.store import epoch_reports, owned_storage
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    epoch_result,
    make_study,
    study_config,
)


def fields(trials: list[FrozenTrial]) -> list[dict[str, object]]:
    return [dict(vars(trial)) for trial in trials]


def test_memory_and_database_say_the_same(tmp_path: Path) -> None:
    config = study_config(n_trials=4)
    ledger = Ledger(make_study(tmp_path, config), config)
    Scheduler(ledger, [ScriptedRunner(), ScriptedRunner()], MemoryProgress(), 4).run()
    running = ledger.start("inline", 1)
    ledger.report(running, epoch_result(1, 0.5))
    ledger.report(running, epoch_result(2, float("inf")))
    running.trial.set_user_attr("note", {"text": "ñ", "numbers": [1, 2.5, None]})
    parked = ledger.start("inline", 1)
    ledger.report(parked, epoch_result(1, float("nan")))
    ledger.park(parked)
    remembered = fields(ledger.study.get_trials())
    stored = fields(make_study(tmp_path, config).get_trials())
    assert repr(remembered) == repr(stored)  # as text, since NaN is not equal to NaN
    assert [trial["state"].name for trial in remembered[-2:]] == ["RUNNING", "WAITING"]  # type: ignore[attr-defined]


def test_what_others_queue_and_end_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owned_storage, "LOOK_SECONDS", 0.0)
    config = study_config(n_trials=4)
    ledger = Ledger(make_study(tmp_path, config), config)
    first = ledger.start("inline", 1)
    elsewhere = optuna.load_study(
        study_name=ledger.study.study_name, storage=f"sqlite:///{tmp_path / 'optuna.db'}"
    )
    elsewhere.enqueue_trial({"dim": 77})
    elsewhere.tell(first.number, state=TrialState.FAIL)
    assert ledger.start("inline", 1).config.dim == 77
    assert ledger.study.get_trials()[first.number].state is TrialState.FAIL


@contextmanager
def statements(study: optuna.Study) -> Iterator[list[str]]:
    """Record the statements that a launcher's study sends to its database in the block."""
    sent: list[str] = []
    engine = study._storage._backend.engine  # type: ignore[attr-defined]

    def see(_: object, __: object, statement: str, *___: object) -> None:
        sent.append(statement)

    sqlalchemy.event.listen(engine, "before_cursor_execute", see)
    yield sent
    sqlalchemy.event.remove(engine, "before_cursor_execute", see)


def test_a_start_and_a_report_cost_the_same_beside_many_running_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owned_storage, "LOOK_SECONDS", 3600.0)
    config = study_config(n_trials=100, sampler={"name": "random"})
    ledger = Ledger(make_study(tmp_path, config), config)
    ledger.start("inline", 1)  # the queued default

    def sent() -> int:
        with statements(ledger.study) as found:
            assignment = ledger.start("inline", 1)
            ledger.report(assignment, epoch_result(1, 0.5))
            assert ledger.n_finished() == 0
        return len(found)

    few = sent()
    for _ in range(10):
        ledger.start("inline", 1)
    assert sent() == few


def test_slots_that_wait_end_with_the_study(tmp_path: Path) -> None:
    """More slots than trials: those that wait are woken once, at the end."""
    config = study_config(n_trials=3)
    ledger = Ledger(make_study(tmp_path, config), config)
    runners = [ScriptedRunner() for _ in range(12)]
    assert Scheduler(ledger, runners, MemoryProgress(), 3).run() == RunEnd("complete", 3)


def test_trials_that_report_together_share_a_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them was ended from outside: it alone hears so."""
    monkeypatch.setattr(epoch_reports, "MANY_TRIALS", 2)
    monkeypatch.setattr(epoch_reports, "GROUP_SECONDS", 1.0)
    config = study_config(n_trials=9, pruner={"name": "none"})
    ledger = Ledger(make_study(tmp_path, config), config)
    started = [ledger.start("inline", 1) for _ in range(8)]
    elsewhere = optuna.load_study(
        study_name=ledger.study.study_name, storage=f"sqlite:///{tmp_path / 'optuna.db'}"
    )
    elsewhere.tell(started[3].number, state=TrialState.FAIL)

    def report(assignment: Assignment) -> bool | str:
        try:
            return ledger.report(assignment, epoch_result(1, assignment.number / 10))
        except UpdateFinishedTrialError as error:
            return type(error).__name__

    with statements(ledger.study) as sent, ThreadPoolExecutor(len(started)) as threads:
        answers = list(threads.map(report, started))
    assert answers == [False] * 3 + ["UpdateFinishedTrialError"] + [False] * 4
    writes = [statement for statement in sent if statement.startswith("INSERT")]
    assert len(writes) < 3, "a transaction for all, or for the first one and all others"
    values = [trial.intermediate_values for trial in elsewhere.get_trials()]
    assert values == [{} if n == 3 else {1: n / 10} for n in range(8)]
