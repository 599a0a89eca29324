"""The installed wheel works from an empty folder; its source is nowhere near."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment, study_in
from tests.support.packaging import build_archives


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's packages, and its programs in `bin`."""
    folder = tmp_path_factory.mktemp("installed")
    _, wheel = build_archives(tmp_path_factory.mktemp("dist"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", folder, wheel], check=True)
    return folder


def call(installed: Path, cwd: Path, program: str, *words: str) -> str:
    result = subprocess.run(
        [sys.executable, installed / "bin" / program, *words],
        cwd=cwd,
        env=environment(PYTHONPATH=str(installed)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_study_by_name_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import hpo, recsys; print(hpo.__file__, recsys.__file__)"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(installed)),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.count(str(installed)) == 2, where
    words = ["--n-trials", "2", "--data", "demo", "--study", "smoke", "--no-tracking"]
    out = call(installed, tmp_path, "hpo", "run", *words, "--no-report")
    assert "2 of 2 trials finished" in out
    assert "  hpo promote --study-name smoke-demo" in out
    assert len(study_in(tmp_path).trials) == 2
    assert {path.name for path in (tmp_path / "studies").iterdir()} >= {"optuna.db"}


def test_both_programs_name_their_commands(installed: Path, tmp_path: Path) -> None:
    assert "  promote  " in call(installed, tmp_path, "hpo", "--help")
    assert call(installed, tmp_path, "hpo", "init", "--help").startswith("usage: hpo init ")
    assert call(installed, tmp_path, "recsys", "train", "--help").startswith("usage: recsys train ")
    assert list(tmp_path.iterdir()) == []
