"""What a launcher keeps beside the study's trials."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from hpo.storage import working_folder


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
