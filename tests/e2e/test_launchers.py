"""Several launchers on one study, on every storage: real processes from an empty database on."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import optuna
import psutil
import pytest
import sqlalchemy

from hpo.study.lifecycle import load_named
from hpo.study.records import Outcome
from hpo.study.storage import existing_storage
from recsys.messages import count
from tests.support.commands import (
    finish,
    in_mid_training,
    run,
    shop,
    start,
    study_file,
)
from tests.support.postgresql import postgresql_url

__all__ = ["postgresql_url"]
pytestmark = pytest.mark.slow
NUMBERS = itertools.count()


@pytest.fixture
def empty_postgresql(postgresql_url: str) -> str:
    """A database in which no test has been."""
    name = f"empty_{next(NUMBERS)}"
    engine = sqlalchemy.create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    url = sqlalchemy.make_url(postgresql_url).set(database=name)
    return url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a storage that is empty, or not even there."""
    if request.param == "sqlite":
        return f"sqlite:///{(tmp_path / 'studies/optuna.db').as_posix()}"
    url: str = request.getfixturevalue("empty_postgresql")
    return url


def command(folder: Path, storage: str, workers: int, **study: int) -> list[object]:
    data, study_toml = shop(folder), study_file(folder, **study)  # type: ignore[arg-type]
    call = ["--data", data, "--study", study_toml, "--storage", storage, "--workers", workers]
    return [*call, "--no-tracking", "--no-report"]


def study_at(storage: str) -> optuna.Study:
    return load_named(existing_storage(storage), None)


def states(storage: str) -> Counter[str]:
    return Counter(trial.state.name for trial in study_at(storage).trials)


def test_six_launchers_at_once_make_one_exact_study(tmp_path: Path, storage: str) -> None:
    call = command(tmp_path, storage, workers=1, n_trials=5)
    launchers = [start("hpo.run", *call, cwd=tmp_path) for _ in range(6)]
    ends = [finish(launcher) for launcher in launchers]
    assert [code for code, *_ in ends] == [0] * 6, ends
    assert ["Traceback" in err for *_, err in ends] == [False] * 6, ends
    assert sum("already complete: 5 trials" in out for _, out, _ in ends) == 5
    assert states(storage) == Counter(COMPLETE=5)


def test_a_launcher_killed_in_mid_study_is_followed_by_an_exact_one(
    tmp_path: Path, empty_postgresql: str
) -> None:
    """On PostgreSQL, where the lock is a session that the server must see end."""
    call = command(tmp_path, empty_postgresql, workers=2, epochs=200, n_trials=4)
    process = start("hpo.run", *call, cwd=tmp_path)
    with in_mid_training(process, empty_postgresql) as workers:
        process.kill()
    process.communicate()
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    n_lost = states(empty_postgresql)["RUNNING"]
    assert n_lost >= 1

    code, out, err = run("hpo.run", *call, cwd=tmp_path)
    assert code == 0, err
    assert f"a launcher died and left {count(n_lost, 'trial')} running" in out
    assert states(empty_postgresql) == Counter(COMPLETE=4, FAIL=n_lost)
    failed = [t for t in study_at(empty_postgresql).trials if t.state.name == "FAIL"]
    assert [o.cause for t in failed if (o := Outcome.of(t))] == ["launcher-died"] * n_lost
