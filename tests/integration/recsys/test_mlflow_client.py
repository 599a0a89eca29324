"""The way to MLflow: no folder stores, no half-made databases, no endless waits, no secrets."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from recsys.artifacts.mlflow_client import (
    TrackingUriError,
    check_tracking_uri,
    experiment_id,
    is_server,
    open_client,
    sqlite_file,
    tracking_errors,
)
from recsys.errors import TrackingError
from recsys.passwords import public_uri

START = (
    "import sys; from recsys.artifacts.mlflow_client import open_client; open_client(sys.argv[1])"
)


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:///mlruns", "C:\\runs", ""])
def test_folders_are_refused_with_the_cure(uri: str) -> None:
    with pytest.raises(TrackingUriError, match="sqlite:///FILE.db .* migrate-filestore") as error:
        open_client(uri)
    assert error.value.exit_code == 2


def test_what_is_no_folder_is_not_called_one() -> None:
    with pytest.raises(TrackingUriError, match="MLflow knows no ftp://; give sqlite:///FILE.db"):
        check_tracking_uri("ftp://foo")


@pytest.mark.slow
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mlflow.db"
    uri = f"sqlite:///{path.as_posix()}"
    first = open_client(uri)
    first.create_experiment("kept")
    first._tracking_client.store._dispose_engine()  # folds the -wal into the file
    (tmp_path / "mlflow.db.create.lock").unlink(missing_ok=True)
    before = sorted(tmp_path.glob("mlflow*"))
    monkeypatch.setattr("recsys.artifacts.sqlite.is_writable", lambda _: False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    client = open_client(uri)
    assert client.get_experiment_by_name("kept")
    assert "immutable" in client.tracking_uri
    assert sqlite_file(client.tracking_uri) == path
    assert sorted(tmp_path.glob("mlflow*")) == before
    assert list(Path.cwd().iterdir()) == []  # MLflow makes parent folders of what it misreads
    with pytest.raises(TrackingError, match="this folder cannot be written"):
        experiment_id(client, "new")


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
def test_memory_is_refused(uri: str) -> None:
    with pytest.raises(TrackingUriError, match="in memory"):
        check_tracking_uri(uri)


@pytest.mark.parametrize(
    ("uri", "cure"),
    [
        ("sqlite://studies/mlflow.db", "write three slashes: sqlite:///studies/mlflow.db$"),
        ("sqlite:mlflow.db", "write three slashes: sqlite:///mlflow.db$"),
        ("sqlite:/mlflow.db", r"sqlite:///mlflow.db \(four if the path begins at the root\)"),
        ("sqlite+pysqlite://a/b.db", r"three slashes: sqlite\+pysqlite:///a/b.db"),
        ("http://[a", "tracking URI: Invalid IPv6 URL; give sqlite:///FILE.db"),
    ],
)
def test_a_uri_that_means_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, cure: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for called in (check_tracking_uri, open_client):
        with pytest.raises(TrackingUriError, match=cure):
            called(uri)
    assert list(tmp_path.iterdir()) == []


def test_kinds_of_uris() -> None:
    for uri in ("http://a", "https://a", "postgresql+psycopg://a/b", "sqlite:///a.db"):
        check_tracking_uri(uri)
    assert sqlite_file("sqlite:///a/b.db") == Path("a/b.db")
    assert sqlite_file("http://a/b.db") is None
    assert [is_server("https://a"), is_server("sqlite:///a")] == [True, False]
    assert public_uri("https://me:p%40ss@host:1/x") == "https://host:1/x"
    assert public_uri("sqlite:///a.db") == "sqlite:///a.db"


@pytest.mark.slow
def test_a_new_database_made_by_two_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mlflow.db"
    uri = f"sqlite:///{path.as_posix()}"
    both = [
        subprocess.Popen([sys.executable, "-c", START, uri], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("preparing" in text for text in said) == 1
    assert {found.name for found in path.parent.iterdir()} <= {path.name, "mlflow.db.create.lock"}
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    client = open_client(uri)
    made = experiment_id(client, "mine")
    assert experiment_id(client, "mine") == made
    root = (path.parent / "artifacts").as_uri()
    assert client.get_experiment(made).artifact_location == root
    assert str(client.get_experiment("0").artifact_location).startswith(root)
    client.delete_experiment(made)
    assert experiment_id(client, "mine") == made
    assert client.get_experiment(made).lifecycle_stage == "active"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("hello " * 1000)
    with pytest.raises(TrackingError, match="not a database"):
        open_client(f"sqlite:///{path.as_posix()}")


def test_a_server_that_is_gone_keeps_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    client = open_client("http://me:s3cret@127.0.0.1:9")
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "10"
    with pytest.raises(TrackingError, match="MLflow at http://127.0.0.1:9: .*refused") as error:
        experiment_id(client, "mine")
    assert error.value.exit_code == 3


def test_secrets_are_cut_out_of_messages() -> None:
    uri = "http://me:s3%2Fcret@host"
    with pytest.raises(TrackingError) as error, tracking_errors(uri):
        raise OSError(f"cannot reach {uri} as me:s3/cret")
    assert "cret" not in str(error.value)
