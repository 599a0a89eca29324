"""The built wheel holds every module and the types; the commit hooks are the checks of make."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT

SOURCES = ("recsys", "hpo")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a wheel that is built from a copy of the source."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, tree / name)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    result = subprocess.run(
        [sys.executable, "-c", build], cwd=tree, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_every_module_and_the_types(wheel: list[str]) -> None:
    """Also the faces (`__init__.pyi`), which packages read when they are imported."""
    files = [path for name in SOURCES for path in (ROOT / name).rglob("*") if path.is_file()]
    source = {
        path.relative_to(ROOT).as_posix() for path in files if path.parent.name != "__pycache__"
    }
    assert {"hpo/py.typed", "recsys/py.typed", "hpo/study/__init__.pyi"} <= source
    assert {name for name in wheel if ".dist-info/" not in name} == source


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent for name in SOURCES for path in (ROOT / name).rglob("*.py")}),
    ids=lambda folder: str(folder.relative_to(ROOT)),
)
def test_a_folder_of_modules_is_a_package_that_git_keeps(folder: Path) -> None:
    assert (folder / "__init__.py").exists()
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", "--quiet", folder / "new_module.py"],
        cwd=ROOT,
        check=False,
    )
    assert ignored.returncode != 0, f"git ignores new modules in {folder}"


def test_the_commit_hooks_are_the_checks_of_make() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert not any(hook["pass_filenames"] for hook in hooks)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    checks = re.findall(r"^\t\$\(RUN\) ((?:ruff|mypy).*)$", makefile, re.MULTILINE)
    assert [hook["entry"] for hook in hooks] == [f"python -m {check}" for check in checks]
