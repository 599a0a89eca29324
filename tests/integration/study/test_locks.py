"""One owner a study; the lock dies with its owner."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hpo.errors import SettingsError
from hpo.study.locks import LockHeld, exclusive, exclusive_registry, sqlite_path
from recsys.artifacts.sqlite import sqlite_url

HOLD = """
import sys
from hpo.study.locks import exclusive
with exclusive(sys.argv[1], "study"):
    print("held", flush=True)
    sys.stdin.read()
"""


def url(tmp_path: Path) -> str:
    return f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}"


def holder(storage: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, storage],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_owner_is_told_who_holds_it(tmp_path: Path) -> None:
    process = holder(url(tmp_path))
    try:
        with (
            pytest.raises(LockHeld, match=f"is run by process {process.pid} on "),
            exclusive(url(tmp_path), "study"),
        ):
            pass
    finally:
        process.kill()
        process.communicate()


def test_kill_9_frees_the_lock_and_other_studies_were_never_held(tmp_path: Path) -> None:
    process = holder(url(tmp_path))
    with exclusive(url(tmp_path), "another"), exclusive(url(tmp_path), "study", role="sync"):
        pass
    process.kill()
    process.communicate()
    with exclusive(url(tmp_path), "study"):
        pass


@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [
        (("a", "sqlite:///{}/mlflow.db"), ("b", "sqlite:///{}/mlflow.db"), True),
        (("a", "sqlite:///{}/mlflow.db"), ("a", "sqlite:///{}/other.db"), False),
        (("a", "http://me:secret@host"), ("a", "http://host"), True),
        (("a", "http://host"), ("a", "http://other"), False),
    ],
)
def test_a_registry_has_one_owner_whatever_the_study(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str], waits: bool
) -> None:
    def held(pair: tuple[str, str], said: list[str]) -> AbstractContextManager[None]:
        storage, uri = f"sqlite:///{tmp_path.as_posix()}/{pair[0]}.db", pair[1]

        def stop(line: str) -> None:
            said.append(line)
            raise InterruptedError

        return exclusive_registry(storage, uri.format(tmp_path.as_posix()), stop)

    said: list[str] = []
    with held(first, said):
        if not waits:
            with held(second, said):
                return
        with pytest.raises(InterruptedError), held(second, said):
            pass
    (line,) = said
    assert f"is changed by process {os.getpid()} on" in line
    assert "secret" not in line


def test_the_lock_of_a_registry_lies_beside_it_whatever_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "a%20b?"
    folder.mkdir()
    storage, registry = url(tmp_path), sqlite_url(folder / "mlflow.db")
    with exclusive_registry(storage, registry, lambda _: None):
        assert (folder / ".locks").is_dir()
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "bad", ["studies/optuna.db", "sqlite://", "mysql://h/d", "sqlite:///:memory:"]
)
def test_other_storages_are_refused_with_the_cure(bad: str) -> None:
    with pytest.raises(SettingsError, match="PostgreSQL|postgresql"):
        sqlite_path(bad)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        sqlite_path("mysql://user:secret@host/db")
    assert "secret" not in str(caught.value)


def test_a_full_disk_takes_no_lock_away_and_names_no_owner_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with exclusive(url(tmp_path), "study"):
        pass  # its owner file stays

    def full(path: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with (
        exclusive(url(tmp_path), "study"),
        pytest.raises(LockHeld, match="is run by another process"),
        exclusive(url(tmp_path), "study"),
    ):
        pass


def test_a_disk_too_full_for_a_lock_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hpo.study.locks.FileLock.acquire", full)
    with (
        pytest.raises(SettingsError, match="optuna.db cannot be opened: .*No space left"),
        exclusive(url(tmp_path), "study"),
    ):
        pass
