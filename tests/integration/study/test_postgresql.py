"""The same engine on PostgreSQL: first starters take turns, one launcher owns a study."""

from __future__ import annotations

import itertools
import subprocess
import sys
from contextlib import ExitStack

import pytest
import sqlalchemy
from optuna.storages import RDBStorage

from hpo.errors import SettingsError, StudyStopped
from hpo.execution import scheduler as scheduler_module
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.execution.store.storage_retries import StorageRetries
from hpo.study.lifecycle import load_named, open_study
from hpo.study.locks import LockHeld, exclusive, exclusive_registry
from hpo.study.server_lock import ServerLock, StudyLock, lock_key
from hpo.study.storage import open_storage
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
        assert scheduler.run() == RunEnd("complete", 6)
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
    assert Scheduler(ledger, [ScriptedRunner()], MemoryProgress(), 6).run() == RunEnd("complete", 6)
    assert len(study.trials) == 7


def test_a_lost_lock_is_taken_again_and_the_study_goes_on(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "LOCK_SECONDS", 0.0)
    config, name = study_config(name="long"), "long"

    def lose(assignment: Assignment) -> None:
        if len(assignment.results) == 1:
            end_lock_sessions(postgresql_url)

    study, _ = open_study(open_storage(postgresql_url), name, study_record(config))
    with exclusive(postgresql_url, name) as hold:
        hold.sign(study)
        scheduler = Scheduler(
            Ledger(study, config), [ScriptedRunner()], MemoryProgress(lose), 6, hold=hold
        )
        assert scheduler.run() == RunEnd("complete", 6)
        with pytest.raises(LockHeld), exclusive(postgresql_url, name):
            pass
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6


def test_a_lock_that_another_launcher_had_meanwhile_stays_lost(postgresql_url: str) -> None:
    config, name = study_config(name="had"), "had"
    study, _ = open_study(open_storage(postgresql_url), name, study_record(config))
    with exclusive(postgresql_url, name) as hold:
        hold.sign(study)
        end_lock_sessions(postgresql_url)
        assert hold.problem() is None  # nobody else wanted it
        end_lock_sessions(postgresql_url)
        with exclusive(postgresql_url, name) as other:
            other.sign(study)
            assert hold.problem() == "another launcher has it"
    with exclusive(postgresql_url, name) as hold:
        hold.sign(study)
        end_lock_sessions(postgresql_url)
        with exclusive(postgresql_url, name) as other:
            other.sign(study)
        assert hold.problem() == "another launcher had it in the meantime"


def test_a_lock_is_taken_from_the_own_session_that_a_cut_left_on_the_server(
    postgresql_url: str,
) -> None:
    config, name = study_config(name="zombie"), "zombie"
    study, _ = open_study(open_storage(postgresql_url), name, study_record(config))
    with exclusive(postgresql_url, name) as hold:
        hold.sign(study)
        assert isinstance(hold, ServerLock)
        left, hold._connection = hold._connection, None  # a cut: the server sees no end of it
        assert left is not None
        assert hold.problem() is None
        with pytest.raises(LockHeld), exclusive(postgresql_url, name):
            pass
        left.close()


def cut_every(storage: RDBStorage, url: str, *, statements: int) -> list[int]:
    """Let the server end the session of every n-th statement; return a list that counts them."""
    cuts: list[int] = []
    seen = itertools.count(1)
    killer = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    end = sqlalchemy.text("SELECT pg_terminate_backend(:pid, 5000)")  # waits until it has ended

    @sqlalchemy.event.listens_for(storage.engine, "before_cursor_execute")
    def cut(connection: sqlalchemy.Connection, *_: object) -> None:
        if next(seen) % statements == 0:
            pid = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            with killer.connect() as other:
                other.execute(end, {"pid": pid})
            cuts.append(pid)

    return cuts


def test_a_connection_that_is_cut_anywhere_costs_no_trial(postgresql_url: str) -> None:
    """Which statement meets the cut moves along, so that each kind of write does in some trial."""
    config, name = study_config(name="cut", n_trials=16), "cut"
    storage = open_storage(postgresql_url)
    study, _ = open_study(storage, name, study_record(config))
    ledger, progress = Ledger(study, config), MemoryProgress()
    n_cuts = cut_every(storage, postgresql_url, statements=83)
    runners = [ScriptedRunner(), ScriptedRunner()]
    with exclusive(postgresql_url, name) as hold:
        hold.sign(study)
        assert Scheduler(ledger, runners, progress, 16, hold=hold).run() == RunEnd("complete", 16)
    assert len(n_cuts) >= 5
    assert any("out of reach" in note for note in progress.notes)
    assert any("the storage is back" in note for note in progress.notes)
    trials = load_named(open_storage(postgresql_url), name).trials  # an engine without cuts
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 16
    assert all(trial.intermediate_values for trial in trials)


def test_an_outage_longer_than_the_patience_is_a_sentence(postgresql_url: str) -> None:
    config, name = study_config(name="gone"), "gone"
    storage = open_storage(postgresql_url)
    study, _ = open_study(storage, name, study_record(config))
    ledger = Ledger(study, config)
    cut_every(storage, postgresql_url, statements=1)
    ledger.outages = StorageRetries(StudyLock(), lambda _: None, outage_seconds=1.0)
    with pytest.raises(StudyStopped, match="storage failed: .*same command again$"):
        ledger.start("inline", 1)


def test_a_server_that_is_gone_takes_no_lock_and_says_so() -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1:9/none"
    with pytest.raises(SettingsError, match="cannot be opened") as caught, exclusive(url, "study"):
        pass
    assert "secret" not in str(caught.value)


def test_schemas_of_one_database_are_storages_of_their_own(postgresql_url: str) -> None:
    engine = sqlalchemy.create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for team in ("team_a", "team_b"):
            connection.execute(sqlalchemy.text(f"CREATE SCHEMA {team}"))
    engine.dispose()
    mark = "&" if "?" in postgresql_url else "?"
    a, b = (
        f"{postgresql_url}{mark}options=-csearch_path%3D{team}" for team in ("team_a", "team_b")
    )
    with exclusive(a, "shop"), exclusive(b, "shop"), exclusive(postgresql_url, "shop"):
        for storage in (a, b, postgresql_url):
            with pytest.raises(LockHeld), exclusive(storage, "shop"):
                pass
    with exclusive_registry(a, "http://mlflow:5000", print):
        told: list[str] = []

        class Waits(Exception):
            pass

        def wait(held: str) -> None:
            told.append(held)
            raise Waits

        with pytest.raises(Waits), exclusive_registry(b, "http://mlflow:5000", wait):
            pass
    assert told == [
        "the registry at http://mlflow:5000 is changed by another process on this database"
    ]


def test_the_lock_of_the_default_schema_is_that_of_former_versions() -> None:
    """Else a launcher of the version before could run the same study."""
    assert lock_key("launcher:shop", "public") == lock_key("launcher:shop", None)
    assert lock_key("launcher:shop", "public") == 2499529651163728574
