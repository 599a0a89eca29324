"""Examples in docstrings run as they stand, and import what they use."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recsys.artifacts import checkpoint
from recsys.retrieval.recommender import Recommender
from tests.support.paths import ROOT
from tests.support.trained import trained

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def example_of(docstring: str) -> str | None:
    """Code of the section "Example:", which ends with the docstring."""
    parts = re.split(r"^Example:\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return inspect.cleandoc("\n" + parts[1]) if len(parts) == 2 else None


def examples() -> list[Any]:
    return [
        pytest.param(code, id=f"{path.stem}.{getattr(node, 'name', '')}")
        for folder in ("recsys", "hpo")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, DOCUMENTED) and (code := example_of(ast.get_docstring(node) or ""))
    ]


def test_the_examples_are_found() -> None:
    assert [each.id for each in examples()] == ["__init__.", "fit.Fit"]


@pytest.mark.parametrize("code", examples())
def test_an_example_runs(
    code: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {})  # our own text
    assert re.match(r"1 0\.\d+\n", capsys.readouterr().out)


def test_integers_are_ids_as_in_the_files() -> None:
    data = trained().history
    numbered = replace(data, user_ids=tuple(str(user) for user in range(data.n_users)))
    recommender = Recommender(trained().model, numbered)
    assert recommender.recommend([7]) == recommender.recommend(["7"])
    assert recommender.recommend([7])[0].source == "model"


def test_a_model_is_loaded_from_a_path_as_text(tmp_path: Path) -> None:
    about = checkpoint.origin("conveyor", trained().parts)
    checkpoint.save(tmp_path / "model", trained().model, trained().history, about)
    loaded = checkpoint.load(str(tmp_path / "model"))
    assert loaded.history.fingerprint == trained().history.fingerprint
