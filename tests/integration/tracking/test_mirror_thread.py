"""The mirror beside a study that runs: servers that go and come, studies that go."""

from __future__ import annotations

import gc
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.pool import Pool

from hpo.config.locations import Locations
from hpo.study.locks import exclusive
from hpo.tracking.background import MirrorThread
from hpo.tracking.mirror import Mirror, SyncReport, uncollected
from recsys.errors import TrackingError
from tests.support.fake_study import FakeStudy, locations
from tests.support.mirrored import all_states, assert_mirrored, mirror, study
from tests.support.mlflow_server import TrackingServer, eventually

__all__ = ["mirror", "study"]
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


@pytest.mark.slow
def test_a_server_that_goes_and_comes_back(
    study: FakeStudy, tracking_server: TrackingServer
) -> None:
    target = Locations(study.locations.storage, tracking_server.uri, "outage")
    trial = study.start()
    thread = MirrorThread(target, study.study.study_name, seconds=0.05)
    thread.start()
    eventually(lambda: isinstance(thread.result, SyncReport))
    tracking_server.stop()
    study.train(trial, 3)
    eventually(lambda: isinstance(thread.result, TrackingError))
    study.end(trial, COMPLETE)
    study.run(PRUNED)
    tracking_server.start()
    eventually(lambda: isinstance(thread.result, SyncReport))
    assert isinstance(thread.stop(), SyncReport)
    mirror = Mirror(target, None)
    assert_mirrored(mirror, tracking_server.database, "outage")
    mirror.close()


def test_the_thread_of_a_server_that_is_gone_says_so(study: FakeStudy) -> None:
    study.run(COMPLETE)
    target = Locations(study.locations.storage, "http://127.0.0.1:9")
    thread = MirrorThread(target, study.study.study_name, seconds=0.01)
    thread.start()
    eventually(lambda: "refused" in str(thread.result))
    result = thread.stop()
    assert isinstance(result, TrackingError)
    assert result.exit_code == 3


def test_the_thread_ends_with_everything_mirrored(study: FakeStudy, mirror: Mirror) -> None:
    thread = MirrorThread(study.locations, study.study.study_name)
    thread.start()
    all_states(study)
    report = thread.stop()
    assert isinstance(report, SyncReport)
    assert report.n_trials == 7
    assert_mirrored(mirror, study.locations.tracking_uri)


def test_the_thread_survives_a_study_that_is_not_there(tmp_path: Path) -> None:
    thread = MirrorThread(locations(tmp_path), "no-such-study")
    thread.start()
    result = thread.stop()
    assert isinstance(result, TrackingError)
    assert "no study" in str(result)


def test_a_study_that_is_deleted_under_the_thread_is_no_traceback(
    study: FakeStudy, caplog: pytest.LogCaptureFixture
) -> None:
    study.run(COMPLETE)
    thread = MirrorThread(study.locations, study.study.study_name, seconds=0.01)
    thread.start()
    eventually(lambda: isinstance(thread.result, SyncReport))
    optuna.delete_study(study_name=study.study.study_name, storage=study.study._storage)
    result = thread.stop()
    assert isinstance(result, TrackingError)
    assert str(result).startswith("study 'fake-demo' was deleted from sqlite:///")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_storage_that_fails_under_the_thread_is_a_sentence(
    study: FakeStudy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.run(COMPLETE)

    def fail(*_: object, **__: object) -> None:
        raise StorageInternalError("full") from OSError(28, "No space left on device")

    monkeypatch.setattr("hpo.tracking.mirror.Mirror.sync", fail)
    thread = MirrorThread(study.locations, study.study.study_name, seconds=0.01)
    thread.start()
    result = thread.stop()
    assert isinstance(result, TrackingError)
    assert "the study's storage failed: [Errno 28] No space left on device" in str(result)
    assert not [record for record in caplog.records if record.exc_info]


def test_a_sync_waits_for_another_one_that_ends(study: FakeStudy, mirror: Mirror) -> None:
    study.run(COMPLETE)
    waiting = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with exclusive(study.locations.storage, study.study.study_name, role="sync"):
            report = pool.submit(lambda: (waiting.set(), mirror.sync())[1])
            waiting.wait()
            with pytest.raises(TimeoutError):
                report.result(0.3)
        assert report.result(60).created == 2, "the trial's run and the study's"


@pytest.fixture
def connections() -> Iterator[set[int]]:
    """The open connections to a study's database that were opened since."""
    found: set[int] = set()

    def opened(connection: sqlite3.Connection, _: object) -> None:
        (row,) = connection.execute("PRAGMA database_list").fetchall()
        if Path(row[2]).name == "optuna.db":
            found.add(id(connection))

    def closed(connection: sqlite3.Connection, _: object) -> None:
        found.discard(id(connection))

    sqlalchemy.event.listen(Pool, "connect", opened)
    sqlalchemy.event.listen(Pool, "close", closed)
    yield found
    sqlalchemy.event.remove(Pool, "connect", opened)
    sqlalchemy.event.remove(Pool, "close", closed)


def test_a_closed_mirror_leaves_no_connection_open(study: FakeStudy, connections: set[int]) -> None:
    study.run(COMPLETE)
    connections.clear()
    mirror = Mirror(study.locations, None)
    mirror.sync()
    assert connections
    mirror.close()
    assert not connections


def test_a_pause_of_garbage_collection_ends_as_it_began() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled(), "the inner pause leaves the outer one"
    assert gc.isenabled()
