"""Which module may import which, read from the source; and that imports do nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for folder in ("recsys", "hpo") for path in (ROOT / folder).rglob("*.py"))
OPTUNA = {
    "assignment", "dashboard", "launcher", "ledger", "live",
    "mirror", "notes", "objective", "progress", "projection", "retries",
    "promotion", "records", "recovery", "replaying", "scheduler", "space", "study",
    "study_projection", "summary", "sync", "candidate", "storage", "advice", "comparison", "trials",
    "check", "known", "warm_starts", "kept", "afterwards", "constraints", "report", "running",
    "samplers",
}  # fmt: skip
LIGHT = (
    "hpo.run", "hpo.promote", "hpo.sync", "hpo.dashboard", "hpo.report",
    "hpo.compare", "hpo.replay", "hpo.retrain", "hpo.serve", "hpo.recommend",
    "recsys.train", "recsys.evaluate",
)  # fmt: skip


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, *, at_run_time: bool = False) -> set[str]:
    """Modules that a file imports anywhere, or only those at its top level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if at_run_time else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_dependencies_point_one_way(path: Path) -> None:
    name, uses = name_of(path), tops(path)
    if name.startswith("recsys"):
        assert not {"hpo", "optuna", "pydantic"} & uses
        if name not in ("recsys.tracking", "recsys.mlflow_client", "recsys.train"):
            assert "mlflow" not in uses
    else:
        assert "hpo.run" not in imported(path)
        if name.rpartition(".")[2] not in OPTUNA:
            assert "optuna" not in uses
    assert "tests" not in uses
    assert "studies" not in uses


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_is_one_room(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 400, f"{path.name} has {lines} lines; is it still one room?"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_function_outgrows_a_screen(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node) or ""
            lines = (node.end_lineno or 0) - node.lineno - docstring.count("\n")
            assert lines <= 50, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("module", LIGHT)
def test_commands_start_light(module: str) -> None:
    """What `--help` costs: no torch, no optuna, no mlflow."""
    heavy = {"torch", "optuna", "mlflow", "polars", "pydantic", "faiss"}
    assert heavy & loaded_by(module) == set()


def test_faiss_is_loaded_by_those_who_need_it() -> None:
    """Workers, pyfunc models and servers of small catalogues do not."""
    assert "faiss" not in loaded_by("hpo.worker, recsys.fit, recsys.indexing")


def loaded_by(modules: str) -> set[str]:
    """Names of all modules of a process that imports some."""
    check = f"import {modules}, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(result.stdout.split())


def test_importing_everything_does_nothing(tmp_path: Path) -> None:
    names = [name_of(path) for path in MODULES if path.stem not in ("pyfunc_model",)]
    check = f"import importlib; [importlib.import_module(name) for name in {names!r}]"
    result = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []
