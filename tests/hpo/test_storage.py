"""What a launcher keeps beside the study's trials."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from optuna.study import StudyDirection

from hpo.errors import SettingsError
from hpo.storage import existing_storage, open_storage, working_folder


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
