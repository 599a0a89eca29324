"""The same engine on PostgreSQL: first starters take turns, one launcher owns a study."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy
from optuna.storages import RDBStorage

from hpo.errors import SettingsError, StudyStopped
from hpo.execution import scheduler as scheduler_module
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, Ended
from hpo.execution.scheduler import Scheduler
from hpo.study.lifecycle import open_study
from hpo.study.locks import LockHeld, exclusive
from hpo.study.storage import open_storage
from recsys.config import TrainConfig
from tests.support.mlflow_server import eventually
from tests.support.postgresql import postgresql_url
from tests.support.scripted import MemoryProgress, ScriptedRunner, study_config, study_record

__all__ = ["postgresql_url"]

START = "import sys; from hpo.study.storage import open_storage; open_storage(sys.argv[1])"


def test_six_first_starters_then_one_owner_and_an_exact_study(postgresql_url: str) -> None:
    starters = [
        subprocess.Popen([sys.executable, "-c", START, postgresql_url], stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    errors = [starter.communicate()[1] for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 6, errors

    config = study_config()
    with exclusive(postgresql_url, "small"):
        with pytest.raises(LockHeld), exclusive(postgresql_url, "small"):
            pass
        study, _ = open_study(open_storage(postgresql_url), "small", study_record(config))
        runners = [ScriptedRunner() for _ in range(3)]
        scheduler = Scheduler(Ledger(study, config), runners, MemoryProgress(), config.n_trials)
        assert scheduler.run() == Ended("complete", 6)
    assert len(study.trials) == 6


def end_lock_sessions(url: str) -> None:
    """As a restart of the server, an administrator or a firewall would."""
    held = "FROM pg_locks WHERE locktype = 'advisory'"
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:

        def ask(what: str) -> int:
            return int(connection.execute(sqlalchemy.text(f"SELECT {what} {held}")).scalar_one())

        assert ask("count(pg_terminate_backend(pid))") == 1
        eventually(lambda: ask("count(*)") == 0)
    engine.dispose()


def test_who_lost_the_lock_starts_no_trial_beside_the_next_owner(postgresql_url: str) -> None:
    config, name = study_config(name="lost"), "lost"
    other = ExitStack()

    def lose(assignment: Assignment) -> None:
        if assignment.number == 2 and len(assignment.results) == 1:
            end_lock_sessions(postgresql_url)
            other.enter_context(exclusive(postgresql_url, name))
            assert Ledger(study, config).recover() == 1

    storage = open_storage(postgresql_url)
    study, _ = open_study(storage, name, study_record(config))
    with (
        other,
        exclusive(postgresql_url, name) as hold,
        pytest.raises(StudyStopped, match="no longer this launcher.s .*same com"),
    ):
        Scheduler(
            Ledger(study, config), [ScriptedRunner()], MemoryProgress(lose), 6, hold=hold
        ).run()
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "WAITING"]
    ledger = Ledger(study, config)
    assert Scheduler(ledger, [ScriptedRunner()], MemoryProgress(), 6).run() == Ended("complete", 6)
    assert len(study.trials) == 7


def test_a_lost_lock_parks_a_long_training(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "LOCK_SECONDS", 0.2)
    config, name = study_config(name="long"), "long"

    def script(_: TrainConfig) -> list[float]:
        return [0.001 * epoch for epoch in range(1, 2001)]

    def lose(assignment: Assignment) -> None:
        if len(assignment.results) == 1:
            end_lock_sessions(postgresql_url)
        time.sleep(0.02)

    runner = ScriptedRunner(script)
    study, _ = open_study(open_storage(postgresql_url), name, study_record(config))
    ledger = Ledger(study, config, tmp_path)
    with exclusive(postgresql_url, name) as hold, pytest.raises(StudyStopped, match="no longer"):
        Scheduler(ledger, [runner], MemoryProgress(lose), 6, hold=hold).run()
    (trial,) = study.trials
    assert trial.state.name == "WAITING"
    assert 1 <= len(trial.intermediate_values) < 2000


def cut_next(storage: RDBStorage, url: str) -> Callable[[], None]:
    """Return a call after which the server ends the session of the storage's next statement."""
    armed: list[bool] = []
    killer = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")

    @sqlalchemy.event.listens_for(storage.engine, "before_cursor_execute")
    def cut(connection: sqlalchemy.Connection, *_: object) -> None:
        if armed:
            armed.clear()
            pid = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            with killer.connect() as other:
                other.execute(sqlalchemy.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            time.sleep(0.2)

    return lambda: armed.append(True)


def test_a_connection_that_is_cut_is_a_sentence_and_leaves_nothing_running(
    postgresql_url: str,
) -> None:
    config, name = study_config(name="cut"), "cut"
    storage = open_storage(postgresql_url)
    cut = cut_next(storage, postgresql_url)
    cut()
    with pytest.raises(StudyStopped, match="storage failed: .*same command again$"):
        open_study(storage, name, study_record(config))
    study, _ = open_study(storage, name, study_record(config))

    def lose(assignment: Assignment) -> None:
        if assignment.number == 2 and len(assignment.results) == 1:
            cut()

    runners = [ScriptedRunner(), ScriptedRunner()]
    with (
        exclusive(postgresql_url, name) as hold,
        pytest.raises(StudyStopped, match="storage failed: .*same command again$"),
    ):
        Scheduler(Ledger(study, config), runners, MemoryProgress(lose), 6, hold=hold).run()
    assert "RUNNING" not in {trial.state.name for trial in study.trials}
    ledger = Ledger(study, config)
    assert ledger.recover() == 0
    assert Scheduler(ledger, runners, MemoryProgress(), 6).run() == Ended("complete", 6)


def test_a_server_that_is_gone_takes_no_lock_and_says_so() -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1:9/none"
    with pytest.raises(SettingsError, match="cannot be opened") as caught, exclusive(url, "study"):
        pass
    assert "secret" not in str(caught.value)
