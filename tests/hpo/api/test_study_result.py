"""The locations that a call in Python gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.api.study_result import given_locations
from recsys.artifacts import sqlite_url


@pytest.mark.parametrize("storage", ["~/studies/a.db", Path("~/studies/a.db")])
def test_a_tilde_is_the_home_folder(
    storage: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    found = given_locations(storage, "sqlite:///mlflow.db", None, "~/artifacts")
    assert found.storage == sqlite_url(tmp_path / "studies/a.db")
    assert found.artifacts == str(tmp_path / "artifacts")
