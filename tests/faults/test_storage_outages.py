"""Real launchers on PostgreSQL while its network is cut and its sessions are ended."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from hpo.study.lifecycle import load_named
from hpo.study.storage import existing_storage
from tests.support.commands import finish, in_mid_training, run, shop, start, storage_in, study_file
from tests.support.mlflow_server import eventually
from tests.support.postgresql import postgresql_url
from tests.support.tcp_proxy import before_postgresql

__all__ = ["postgresql_url"]
pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform == "win32", reason="the PostgreSQL wheel has no Windows build"),
    pytest.mark.timeout(1800),
]
CUT_SECONDS, ENDING_SECONDS = 60.0, 30.0
N_TRIALS, N_EPOCHS = 4, 400
END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def call_in(folder: Path, name: str, storage: str) -> list[object]:
    toml = study_file(folder, epochs=N_EPOCHS, n_trials=N_TRIALS)
    call = ["--data", shop(folder), "--study", toml, "--study-name", name, "--storage", storage]
    return [*call, "--workers", 1, "--no-tracking", "--no-report"]


def results(storage: str, name: str) -> list[tuple[Any, ...]]:
    trials = load_named(existing_storage(storage), name).trials
    return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in trials]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """Results of the study if nothing happens."""
    folder = tmp_path_factory.mktemp("alone")
    storage = storage_in(folder)
    code, out, err = run("hpo.run", *call_in(folder, "alone", storage), cwd=folder)
    assert code == 0, out + err
    return results(storage, "alone")


@contextmanager
def ended_every_second(url: str) -> Iterator[None]:
    """All sessions of the database end once a second, for ENDING_SECONDS."""
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    until = time.monotonic() + ENDING_SECONDS

    def end_sessions() -> None:
        while time.monotonic() < until:
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text(END_ALL))
            time.sleep(1)

    thread = threading.Thread(target=end_sessions)
    thread.start()
    yield
    thread.join()
    engine.dispose()


def assert_ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of a launcher; return its exit code and output."""
    code, out, err = finish(process)
    assert "Traceback" not in out + err, out + err
    return code, out + err


def wait_for_epochs(storage: str, *names: str) -> None:
    """Wait until each of these studies has an epoch, with one connection."""
    opened = existing_storage(storage)

    def begun(name: str) -> bool:
        found = {study.study_name: study._study_id for study in opened.get_all_studies()}
        trials = opened.get_all_trials(found[name]) if name in found else []
        return any(trial.intermediate_values for trial in trials)

    eventually(lambda: time.sleep(0.5) or all(map(begun, names)), 300)
    opened.engine.dispose()


def test_a_network_that_is_cut_for_a_minute(
    tmp_path: Path, postgresql_url: str, expected: list[tuple[Any, ...]]
) -> None:
    proxy, through = before_postgresql(postgresql_url)
    process = start("hpo.run", *call_in(tmp_path, "cut", through), cwd=tmp_path)
    with in_mid_training(process, postgresql_url):
        proxy.cut()
    threading.Event().wait(CUT_SECONDS)
    proxy.mend()
    code, out = assert_ends(process)
    assert code == 0, out
    assert "the storage is back after" in out
    assert results(postgresql_url, "cut") == expected
    proxy.close()


def test_two_studies_whose_sessions_are_ended_every_second(
    tmp_path: Path, postgresql_url: str, expected: list[tuple[Any, ...]]
) -> None:
    names = ("left", "right")
    launchers = [
        start("hpo.run", *call_in(tmp_path, name, postgresql_url), cwd=tmp_path) for name in names
    ]
    wait_for_epochs(postgresql_url, *names)
    with ended_every_second(postgresql_url):
        ends = [assert_ends(launcher) for launcher in launchers]
    assert [code for code, _ in ends] == [0, 0], ends
    assert results(postgresql_url, "left") == expected
    assert results(postgresql_url, "right") == expected
