"""The launcher's memory of its trials says what the database says, at a constant cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Ended
from hpo.execution.scheduler import Scheduler
from hpo.execution.store import owned_storage
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
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
    running.trial.report(0.5, 1)
    running.trial.set_user_attr("note", {"text": "ñ", "numbers": [1, 2.5, None]})
    parked = ledger.start("inline", 1)
    parked.trial.report(0.25, 1)
    ledger.park(parked)
    remembered = fields(ledger.study.get_trials())
    assert remembered == fields(make_study(tmp_path, config).get_trials())
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
            assignment.trial.report(0.5, 1)
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
    assert Scheduler(ledger, runners, MemoryProgress(), 3).run() == Ended("complete", 3)
