"""The address of a study: options, then the environment, then the defaults."""

from __future__ import annotations

import pytest

from hpo.config.locations import Locations
from hpo.config.next_commands import command, next_lines

URL = "postgresql+psycopg://me:secret@db/team"


def test_the_storage_comes_from_the_option_then_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HPO_STORAGE", URL)
    assert Locations.resolve(None, None).storage == URL
    assert Locations.resolve("sqlite:///a.db", None).storage == "sqlite:///a.db"
    monkeypatch.setenv("HPO_STORAGE", "")
    assert Locations.resolve(None, None).storage == "sqlite:///studies/optuna.db"


def test_next_commands_leave_out_the_storage_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    line = command("report", "s", Locations(URL))
    assert "--storage 'postgresql+psycopg://me:***@db/team'" in line
    assert "set HPO_STORAGE" in "\n".join(next_lines({line: "read"}))
    monkeypatch.setenv("HPO_STORAGE", URL)
    assert "--storage" not in command("report", "s", Locations(URL))
    assert "--storage" not in command("report", "s")
    assert "--storage sqlite:///studies/optuna.db" in command("report", "s", Locations())
