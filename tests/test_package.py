"""Wheel and sdist hold what they should; the commit hooks are the checks of make."""

from __future__ import annotations

import re
import subprocess
import tarfile
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

from tests.support.packaging import build_archives
from tests.support.paths import ROOT, STUDIES

SOURCES = ("recsys", "hpo")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_archives(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(archives: tuple[Path, Path]) -> zipfile.ZipFile:
    return zipfile.ZipFile(archives[1])


def files_of(folder: Path) -> set[str]:
    """Paths of all files of a package in the checkout."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(ROOT).as_posix() for path in files if path.parent.name != "__pycache__"
    }


def test_the_wheel_holds_every_module_the_types_and_the_study_files(wheel: zipfile.ZipFile) -> None:
    """Also the faces (`__init__.pyi`), which packages read when they are imported."""
    source = files_of(ROOT / "recsys") | files_of(ROOT / "hpo")
    assert {"hpo/py.typed", "recsys/py.typed", "hpo/study/__init__.pyi"} <= source
    studies = {f"hpo/studies/{path.name}" for path in STUDIES.glob("*.toml")}
    assert {"hpo/studies/two_tower.toml", "hpo/studies/smoke.toml"} <= studies
    studies.add("hpo/studies/study.schema.json")
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == source | studies


def test_the_wheel_has_the_two_programs(wheel: zipfile.ZipFile) -> None:
    (place,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    programs = ConfigParser()
    programs.read_string(wheel.read(place).decode())
    assert dict(programs["console_scripts"]) == {
        "hpo": "hpo.cli:main",
        "recsys": "recsys.__main__:main",
    }


def test_the_sdist_holds_what_git_does_and_nothing_made_at_run_time(
    archives: tuple[Path, Path],
) -> None:
    with tarfile.open(archives[0]) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "studies/LOG.md"} <= inside
    assert {"tests/test_package.py", "constraints.txt", "Makefile", "studies/wide.toml"} <= inside
    assert not [name for name in inside if re.search(r"\.db|__pycache__|^\.venv|^artifacts/", name)]


def test_the_version_is_the_newest_in_the_changelog_or_the_next() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+)\.(\d+)\.(\d+)\]", changes, re.MULTILINE)
    newest = max(tuple(map(int, numbers)) for numbers in released)
    version = tuple(map(int, project["version"].split(".")))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    dated = re.search(rf"^## \[{project['version']}\] - (\S+)$", changes, re.MULTILINE)
    assert dated is None or str(citation["date-released"]) == dated[1]
    assert version == newest or (version > newest and "## [Unreleased]" in changes)


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


def test_the_files_that_comments_of_the_project_name_exist() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wheel = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]
    comments = "\n".join(re.findall(r"#.*", text))
    paths = re.findall(r"(?<![\w:/.-])[\w.*-]+(?:/[\w*-]+(?:\.\w+)?)+", comments)
    files = re.findall(r"(?<![\w/.-])[\w-][\w.-]*\.(?:py|md|yml|toml|txt|cff)\b", comments)
    assert {"recsys/*/__init__.py", ".ci/run", "hpo/study"} <= {*paths}
    assert {"docker-compose.team.yml", "CITATION.cff"} <= {*files}
    named = {*paths, *files} - {*wheel["sources"].values()}
    assert [name for name in sorted(named) if not any(ROOT.glob(name))] == []


def test_the_commit_hooks_are_the_checks_of_make() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert not any(hook["pass_filenames"] for hook in hooks)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    checks = re.findall(r"^\t\$\(RUN\) ((?:ruff|mypy).*)$", makefile, re.MULTILINE)
    assert [hook["entry"] for hook in hooks] == [f"python -m {check}" for check in checks]
