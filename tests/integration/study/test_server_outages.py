"""A study on PostgreSQL behind a proxy that cuts and stalls: it ends exactly as without."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from optuna import Study, Trial

from hpo.config import SearchSpace
from hpo.config.locations import Locations
from hpo.execution import scheduler as scheduler_module
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.study.lifecycle import load_named, open_study
from hpo.study.locks import exclusive
from hpo.study.storage import open_storage
from hpo.tracking.background import MirrorThread
from hpo.tracking.mirror import SyncReport
from recsys.config import TrainConfig
from recsys.errors import TrackingError
from tests.support.fake_study import FakeStudy
from tests.support.mlflow_server import eventually
from tests.support.postgresql import postgresql_url
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    saturating,
    study_config,
    study_record,
)
from tests.support.tcp_proxy import TcpProxy, before_postgresql

__all__ = ["postgresql_url"]

N_TRIALS = 8
READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = {}"
END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def proxied(postgresql_url: str) -> Iterator[tuple[TcpProxy, str]]:
    proxy, url = before_postgresql(postgresql_url)
    yield proxy, url
    proxy.close()


def slowly(config: TrainConfig) -> Iterator[float]:
    for value in saturating(config):
        time.sleep(0.02)
        yield value


def run_study(
    url: str, name: str, disturb: Callable[[], None] = lambda: None
) -> tuple[Study, MemoryProgress]:
    """Run a study of one worker; `disturb` is called in the middle of its third trial."""
    config = study_config(name=name, n_trials=N_TRIALS)
    study, _ = open_study(open_storage(url), name, study_record(config))

    def on_epoch(assignment: Assignment) -> None:
        if assignment.number == 2 and len(assignment.results) == 1:
            disturb()

    progress = MemoryProgress(on_epoch)
    ledger = Ledger(study, config)
    with exclusive(url, name) as hold:
        hold.sign(study)
        scheduler = Scheduler(ledger, [ScriptedRunner(slowly)], progress, N_TRIALS, hold=hold)
        assert scheduler.run() == RunEnd("complete", N_TRIALS)
    return study, progress


def results(url: str, name: str) -> list[tuple[object, ...]]:
    trials = load_named(open_storage(url), name).trials
    return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in trials]


@pytest.fixture
def expected(tmp_path: Path) -> list[tuple[object, ...]]:
    """Results of the study if nothing happens."""
    url = f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}"
    run_study(url, "small")
    return results(url, "small")


@contextmanager
def administrator(url: str) -> Iterator[Callable[[str], None]]:
    """A way to send statements that does not go through the proxy."""
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")

    def send(statement: str) -> None:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(statement))

    yield send
    engine.dispose()


@pytest.mark.parametrize(
    ("what", "seconds"),
    [("cut", 1.0), ("stall", 2.0), pytest.param("cut", 10.0, marks=pytest.mark.slow)],
)
def test_a_study_waits_out_a_broken_network_and_ends_as_without(
    proxied: tuple[TcpProxy, str],
    expected: list[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    seconds: float,
) -> None:
    monkeypatch.setattr(scheduler_module, "LOCK_SECONDS", 0.2)
    proxy, url = proxied
    name = f"{what}-{seconds:g}"

    def disturb() -> None:
        getattr(proxy, what)()
        threading.Timer(seconds, proxy.mend).start()

    _, progress = run_study(url, name, disturb)
    assert results(url, name) == expected
    is_told = any("the storage is back after" in note for note in progress.notes)
    assert is_told == (what == "cut")


def test_sessions_that_are_ended_again_and_again_cost_no_trial(
    postgresql_url: str, expected: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "LOCK_SECONDS", 0.2)
    over, n_ended = threading.Event(), []
    with administrator(postgresql_url) as send:

        def end_sessions() -> None:
            while not over.wait(0.5):
                send(END_ALL)
                n_ended.append(1)

        thread = threading.Thread(target=end_sessions)
        try:
            run_study(postgresql_url, "ended", thread.start)
        finally:
            over.set()
            thread.join()
    assert n_ended
    found = results(postgresql_url, "ended")
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    for trial in load_named(open_storage(postgresql_url), "ended").trials:
        curve = saturating(TrainConfig(dim=trial.params["dim"], epochs=trial.params["epochs"]))
        assert trial.intermediate_values == dict(enumerate(curve, 1))
        assert trial.value == curve[-1]


def test_a_start_that_is_broken_off_draws_the_same_when_repeated(
    proxied: tuple[TcpProxy, str],
    expected: list[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trial that was made, but for which nothing could be drawn any more."""
    proxy, url = proxied
    draw, broken = SearchSpace.suggest, []

    def suggest(space: SearchSpace, trial: Trial, seed: int) -> TrainConfig:
        if trial.number in (3, 5) and trial.number not in broken:
            broken.append(trial.number)
            proxy.cut()
            threading.Timer(0.5, proxy.mend).start()
        return draw(space, trial, seed)

    monkeypatch.setattr(SearchSpace, "suggest", suggest)
    run_study(url, "broken")
    assert broken == [3, 5]
    assert results(url, "broken") == expected


def test_a_server_that_is_read_only_for_a_while_is_waited_for(
    postgresql_url: str, expected: list[tuple[object, ...]]
) -> None:
    """As the old primary is while a failover goes on."""
    engine = sqlalchemy.create_engine(postgresql_url, poolclass=sqlalchemy.NullPool)

    def is_read_only() -> bool:
        with engine.connect() as connection:
            found = connection.execute(sqlalchemy.text("SHOW default_transaction_read_only"))
            return found.scalar() == "on"

    with administrator(postgresql_url) as send:

        def set_read_only(value: str) -> None:
            send(READ_ONLY.format(value))
            send("SELECT pg_reload_conf()")

        def becomes_read_only() -> bool:
            set_read_only("on")  # again and again: one signal went unheard for a minute
            return is_read_only()

        def disturb() -> None:
            eventually(becomes_read_only, pause_seconds=0.2)
            threading.Timer(4.0, set_read_only, ["off"]).start()  # long for a busy machine

        _, progress = run_study(postgresql_url, "failover", disturb)
    assert results(postgresql_url, "failover") == expected
    assert any("read-only transaction" in note for note in progress.notes), progress.notes


def test_a_mirror_that_begins_in_an_outage_begins_after_it(
    proxied: tuple[TcpProxy, str], mlflow_uri: str
) -> None:
    proxy, url = proxied
    fake = FakeStudy(Locations(url, mlflow_uri), name="mirrored")
    fake.add_finished(3, 2)
    proxy.cut()
    thread = MirrorThread(fake.locations, "mirrored", seconds=0.05)
    thread.start()
    eventually(lambda: "cannot be opened" in str(thread.result))
    proxy.mend()
    eventually(lambda: isinstance(thread.result, SyncReport))
    report = thread.stop()
    assert isinstance(report, SyncReport)
    assert report.n_trials == 3


def test_a_mirror_that_is_stopped_in_an_outage_ends(
    proxied: tuple[TcpProxy, str], mlflow_uri: str
) -> None:
    proxy, url = proxied
    fake = FakeStudy(Locations(url, mlflow_uri), name="unmirrored")
    proxy.cut()
    thread = MirrorThread(fake.locations, "unmirrored", seconds=0.05)
    thread.start()
    result = thread.stop(60)
    assert isinstance(result, TrackingError)
    assert "cannot be opened" in str(result)
