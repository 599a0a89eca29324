"""Printed commands begin as the running one was called."""

from __future__ import annotations

import sys

import pytest

from recsys.invocation import command_text, command_words


@pytest.mark.parametrize(
    ("started", "text"),
    [
        ("/home/me/.venv/bin/hpo", "hpo promote"),
        ("hpo.exe", "hpo promote"),
        ("/srv/hpo/__main__.py", "python -m hpo promote"),
        ("/srv/hpo/run.py", "python -m hpo.promote"),
        ("/usr/lib/ipykernel_launcher.py", "python -m hpo.promote"),
        ("/srv/shop/__main__.py", "python -m hpo.promote"),
        ("-c", "python -m hpo.promote"),
        ("", "python -m hpo.promote"),
    ],
)
def test_a_command_is_named_as_the_running_one(
    started: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [started, "--n-trials", "3"])
    assert command_text("hpo.promote") == text
    assert command_words("hpo.promote") == tuple(text.split())


def test_a_program_prints_commands_of_the_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/recsys"])
    assert command_text("hpo.run") == "hpo run"


def test_a_command_without_a_module_is_called_through_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["/srv/hpo/run.py"])
    assert command_text("hpo.copy-study") == "python -m hpo copy-study"
