"""What a launcher keeps beside the study's trials."""

from __future__ import annotations

import gc
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from optuna.study import StudyDirection

from hpo.errors import SettingsError
from hpo.study.storage import existing_storage, open_storage, working_folder
from recsys.artifacts.sqlite import sqlite_url


def test_the_next_launcher_clears_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url = "sqlite:///" + (tmp_path / "optuna.db").as_posix()
    with working_folder(url, "uid") as folder:
        pass
    assert not folder.exists()
    folder.mkdir()  # as kill -9 leaves it
    (folder / "holdout.safetensors").write_text("old")
    other = "sqlite:///" + (tmp_path / "copy" / "optuna.db").as_posix()
    with working_folder(other, "uid") as elsewhere:
        assert elsewhere != folder
        assert (folder / "holdout.safetensors").exists()
    with working_folder(url, "uid") as again:
        assert again == folder
        assert list(again.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_database_whose_folder_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "my #1 optuna.db"
    url = f"sqlite:///{path.as_posix()}"
    open_storage(url).create_new_study([StudyDirection.MAXIMIZE], "kept")
    gc.collect()  # the last connection folds the -wal into the file
    monkeypatch.setattr("recsys.artifacts.sqlite.is_writable", lambda _: False)
    reading = existing_storage(url)
    assert "immutable" in str(reading.engine.url)
    assert [study.study_name for study in reading.get_all_studies()] == ["kept"]
    log = tmp_path / f"{path.name}-wal"
    log.write_bytes(b"changes")
    assert "immutable" not in str(existing_storage(url).engine.url)  # they would be lost
    log.write_bytes(b"changes")
    path.write_bytes(b"no database")
    with pytest.raises(SettingsError, match="cannot be written, and .*-wal holds changes"):
        existing_storage(url)


def test_a_name_that_means_something_in_a_url(tmp_path: Path) -> None:
    path = tmp_path / "100%25 sure?" / "optuna#1 {x}.db"
    path.parent.mkdir()
    url = sqlite_url(path)
    open_storage(url).create_new_study([StudyDirection.MAXIMIZE], "kept")
    assert path.exists()
    assert [folder.name for folder in tmp_path.iterdir()] == [path.parent.name]
    assert [study.study_name for study in existing_storage(url).get_all_studies()] == ["kept"]


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        SettingsError, match=r'install its driver: pip install "psycopg\[binary\]>=3\.2"'
    ):
        existing_storage("postgresql+psycopg://a:b@127.0.0.1/x")


def test_reading_takes_no_lock_so_that_a_folder_may_be_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "sqlite:///" + (tmp_path / "optuna.db").as_posix()
    open_storage(url).create_new_study([StudyDirection.MAXIMIZE], "kept")

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)  # of .locks; root would be let through
    with pytest.raises(SettingsError, match="cannot be opened: .*Permission denied"):
        open_storage(url)
    assert [study.study_name for study in existing_storage(url).get_all_studies()] == ["kept"]


@pytest.mark.parametrize(
    ("version", "cure"),
    [
        ("v3.0.0.d", "keep a copy of it, then run: optuna storage upgrade --storage sqlite:///"),
        ("v99.0.0.a", "a newer Optuna made its tables; update this one: pip install -U optuna"),
    ],
)
def test_tables_of_another_optuna(tmp_path: Path, version: str, cure: str) -> None:
    path = tmp_path / "optuna.db"
    url = sqlite_url(path)
    open_storage(url).engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    for opened in (open_storage, existing_storage):
        with pytest.raises(SettingsError) as caught:
            opened(url)
        assert cure in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_working_folder_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no folder").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no folder"))
    with (
        pytest.raises(SettingsError, match=r"cannot be made \(Not a directory\); .*TMPDIR"),
        working_folder(f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}", "uid"),
    ):
        pass
