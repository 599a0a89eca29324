"""The locations that a call in Python gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.api.study_result import given_locations
from hpo.errors import SettingsError
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


@pytest.mark.parametrize("storage", ["sqlite:/x.db", "sqlite:x.db", "postgresql+psycopg:me@db/t"])
def test_a_url_without_slashes_is_no_file_of_that_name(storage: str) -> None:
    with pytest.raises(
        SettingsError, match="^storage='.*' is no database URL; give a file, sqlite"
    ):
        given_locations(storage, None, None, None)


@pytest.mark.parametrize("tracking", ["sqlite:/x.db", "sqlite://a/x.db"])
def test_a_tracking_uri_that_means_another_file_is_refused(tracking: str) -> None:
    with pytest.raises(SettingsError, match=f"^tracking='{tracking}': write three slashes: sqlite"):
        given_locations(None, tracking, None, None)
