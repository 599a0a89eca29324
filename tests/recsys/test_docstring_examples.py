"""Examples in docstrings run as they stand, with the names that they take for granted."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.artifacts import checkpoint
from recsys.config import TrainConfig
from recsys.data.splitting import split
from recsys.retrieval.recommender import Recommender
from recsys.training.fit import Fit
from tests.support.examples import conveyor
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


def test_the_example_of_fit_is_found() -> None:
    assert [each.id for each in examples()] == ["fit.Fit"]


@pytest.mark.parametrize("code", examples())
def test_an_example_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"Fit": Fit, "TrainConfig": TrainConfig, "torch": torch, "split": split(conveyor())}
    exec(compile(code, "example", "exec"), names)  # our own text
    assert capsys.readouterr().out.startswith("1 1.0\n2 ")


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
