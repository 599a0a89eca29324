"""`import recsys` gives all that its users need, and costs nothing before it is used."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import hpo
import recsys
from tests.support.paths import ROOT


@pytest.mark.parametrize("package", ["recsys", "hpo"])
def test_importing_the_package_loads_nothing(package: str) -> None:
    check = f"import {package}, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT
    )
    heavy = {"torch", "numpy", "polars", "optuna", "mlflow", "pydantic"}
    assert heavy & set(result.stdout.split()) == set()


@pytest.mark.parametrize(
    ("package", "names"),
    [
        (recsys, "load_dataset split TrainConfig Fit Evaluator Recommender save load"),
        (hpo, "tune load_study load_champion StudyResult TrialEnd"),
    ],
    ids=["recsys", "hpo"],
)
def test_every_name_is_there(package: ModuleType, names: str) -> None:
    assert set(names.split()) <= set(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
