"""Which module may import which, read from the source; and that imports do nothing."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MODULES = sorted(path for folder in ("recsys", "hpo") for path in (ROOT / folder).rglob("*.py"))
FACES = [
    path
    for path in MODULES
    if path.name == "__init__.py" and len(path.parts) - len(ROOT.parts) == 3
]
# Bottom up: a package imports from floors below its own, and from itself.
FLOORS = (
    ("recsys.drafts", "recsys.errors", "recsys.invocation", "recsys.messages", "recsys.passwords"),
    ("recsys.config", "recsys.data"),
    ("recsys.readers", "recsys.models"),
    ("recsys.datasets", "recsys.evaluation"),
    ("recsys.cli", "recsys.retrieval", "recsys.training"),
    ("recsys.artifacts", "recsys.capacity"),
    ("recsys.train", "recsys.evaluate", "recsys.plan"),
    ("hpo.errors",),
    ("hpo.trainables",),
    ("hpo.config", "hpo.runners", "hpo.dashboards"),
    ("hpo.arguments", "hpo.search", "hpo.study"),
    ("hpo.registry", "hpo.notices"),
    ("hpo.tracking", "hpo.gate", "hpo.serving"),
    ("hpo.promotion", "hpo.reporting"),
    ("hpo.execution",),
    ("hpo.api", "hpo.cli"),
)  # fmt: skip
NO_OPTUNA = (
    "hpo.config", "hpo.runners", "hpo.registry", "hpo.gate", "hpo.serving", "hpo.dashboards",
)  # fmt: skip
DISTRIBUTIONS = "hpo.config.search_space"  # makes Optuna's distributions of the parameters
LIGHT = (
    "hpo.run", "hpo.promote", "hpo.sync", "hpo.dashboard", "hpo.report",
    "hpo.compare", "hpo.replay", "hpo.retrain", "hpo.serve", "hpo.recommend",
    "recsys.train", "recsys.evaluate", "recsys.plan", "recsys.__main__", "hpo.__main__",
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


def floor_of(module: str) -> int | None:
    """Return the floor of a module's package, the top one for commands; None outside the house."""
    parts = module.split(".")
    if parts[0] not in ("hpo", "recsys") or len(parts) == 1:
        return None
    package = ".".join(parts[:2])
    found = [floor for floor, packages in enumerate(FLOORS) if package in packages]
    return found[0] if found else len(FLOORS)


def arrows_upward(name: str, uses: set[str]) -> set[str]:
    """Return the imports of a module that do not point to a lower floor or into its own package."""
    package, own = name.split(".")[:2], floor_of(name)
    return {
        other
        for other in uses
        if own is not None
        and (floor := floor_of(other)) is not None
        and other.split(".")[:2] != package
        and floor >= own
    }


def test_contributing_shows_the_same_floors() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (`(?:recsys|hpo)\.[^|]*) \|", text, re.MULTILINE)
    packages = {name: int(row) for row, cell in rows for name in re.findall(r"`([\w.]+)`", cell)}
    modules = {name for name, row in packages.items() if row == 16}  # one a command
    below = [name for floor in FLOORS for name in floor]
    assert set(packages) - modules == set(below)
    shown = [packages[name] for name in below]
    assert shown == sorted(shown)


def test_a_planted_violation_is_found() -> None:
    assert arrows_upward("recsys.data.splitting", {"recsys.training.fit", "recsys.errors"}) == {
        "recsys.training.fit"
    }
    assert arrows_upward("hpo.study.records", {"hpo.run", "hpo.config.parameter"}) == {"hpo.run"}
    assert arrows_upward("hpo.run", {"hpo.promote"}) == {"hpo.promote"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_dependencies_point_one_way(path: Path) -> None:
    name, uses = name_of(path), tops(path)
    assert arrows_upward(name, imported(path)) == set()
    if name.startswith("recsys"):
        assert not {"hpo", "optuna", "pydantic"} & uses
        if not name.startswith("recsys.artifacts.mlflow_") and name != "recsys.train":
            assert "mlflow" not in uses
    elif name.startswith(NO_OPTUNA) and name != DISTRIBUTIONS:
        assert "optuna" not in uses
    assert "tests" not in uses
    assert "studies" not in uses


def past_faces(name: str, path: Path) -> set[str]:
    """Modules of other packages that a file imports by their own name instead of the face's."""
    package = name.split(".")[:2]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {
        module
        for module in modules
        if module
        and module.startswith(("hpo.", "recsys."))
        and module.count(".") > 1
        and module.split(".")[:2] != package
    }


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_other_packages_are_imported_by_their_faces(path: Path) -> None:
    assert past_faces(name_of(path), path) == set()


def test_an_import_past_a_face_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("from hpo.study.locks import Hold\nfrom hpo.study import LockHeld\n")
    assert past_faces("hpo.tracking.planted", planted) == {"hpo.study.locks"}
    assert past_faces("hpo.study.planted", planted) == set()


@cache
def names_used_by_others() -> dict[str, set[str]]:
    """Names that modules import from packages other than their own, by package."""
    used: dict[str, set[str]] = {}
    for face in (ROOT / "recsys/__init__.pyi", ROOT / "hpo/__init__.pyi"):  # for users in Python
        for node in ast.parse(face.read_text(encoding="utf-8")).body:
            assert isinstance(node, ast.ImportFrom)
            names = {alias.name for alias in node.names}
            used.setdefault(f"{face.parent.name}.{node.module}", set()).update(names)
    for path in MODULES:
        package = name_of(path).split(".")[:2]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".") != package:
                names = {alias.name for alias in node.names}
                used.setdefault(node.module or "", set()).update(names)
    return used


@pytest.mark.parametrize("path", FACES, ids=name_of)
def test_a_face_shows_what_there_is_and_no_more(path: Path) -> None:
    package = importlib.import_module(name_of(path))
    assert package.__all__
    assert set(package.__all__) == names_used_by_others()[name_of(path)]
    assert all(hasattr(package, name) for name in package.__all__)


def test_a_public_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name_of(path))
    each_command_has = {"main", "parser"}
    twice = {name: where for name, where in homes.items() if len(where) > 1}
    assert set(twice) <= each_command_has, twice


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=str)
def test_a_folder_holds_few_modules(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= 14


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


def test_a_launcher_starts_without_what_only_reports_need() -> None:
    heavy = {"sklearn", "scipy", "pandas", "matplotlib", "mlflow"}
    assert heavy & loaded_by("hpo.execution.launcher") == set()


def test_faiss_is_loaded_by_those_who_need_it() -> None:
    """Workers, pyfunc models and servers of small catalogues do not."""
    modules = "hpo.runners.worker, recsys.training.fit, recsys.retrieval.index_builder"
    assert "faiss" not in loaded_by(modules)


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
