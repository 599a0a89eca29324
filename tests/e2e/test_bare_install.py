"""The way of a stranger: a new environment, the wheel with all that it needs, an empty folder.

`make test-install` runs it: it fetches all dependencies from a package index, which takes minutes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.packaging import build_archives

# An index that is far away, or a torch with CUDA (3 GB), takes its time.
pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(3600)]
BIN = "Scripts" if os.name == "nt" else "bin"
PROBE = "lazy-loader"  # a dependency of ten kilobytes


def clean(folder: Path) -> dict[str, str]:
    """The environment of a stranger: nothing of this checkout, and a home of its own."""
    ours = ("PYTHON", "HPO_", "RECSYS_", "MLFLOW_", "VIRTUAL_ENV", "XDG_CACHE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "HOME": str(folder), "USERPROFILE": str(folder), "COLUMNS": "200"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program `hpo` of a new environment into which pip has installed the wheel."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv" / BIN / "python", "-m", "pip", "--disable-pip-version-check"]
    probe = [*pip, "download", "--quiet", "--no-deps", "--retries", "0", "--dest", folder, PROBE]
    found = subprocess.run(probe, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"no package index answers: {found.stderr.splitlines()[-1]}")
    _, wheel = build_archives(tmp_path_factory.mktemp("dist"))
    result = subprocess.run(
        [*pip, "install", "--quiet", wheel],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder / "venv" / BIN / "hpo"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


def call(program: Path, folder: Path, *words: str) -> str:
    result = subprocess.run(
        [program, *words],
        cwd=folder, env=clean(folder), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, f"hpo {' '.join(words)}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def served(program: Path, empty: Path) -> Iterator[str]:
    """Address of `hpo serve`, after a study, its report and its promotion."""
    out = call(program, empty, "run", "--n-trials", "5", "--data", "demo")
    assert "5 of 5 trials finished" in out
    assert "\nhpo promote --study-name two_tower-demo" in out
    page = re.search(r"\S+report\.html", call(program, empty, "report"))
    assert page is not None
    assert "<html" in (empty / page[0]).read_text(encoding="utf-8")
    assert "is two-tower version 1, champion" in call(program, empty, "promote")
    server = subprocess.Popen(
        [program, "serve", "--port", "0"],
        cwd=empty, env=clean(empty), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    for line in server.stdout:
        if address := re.search(r"http://127\.0\.0\.1:\d+", line):
            break
    else:
        pytest.fail("hpo serve ended without an address")
    yield address[0]
    server.terminate()
    assert server.wait(60) == 0


def test_from_the_wheel_to_an_answer_over_http(served: str) -> None:
    question = json.dumps({"user_id": "u0001", "k": 3}).encode()
    with urllib.request.urlopen(f"{served}/recommend", question) as answer:
        found = json.load(answer)
    assert found["source"] == "model"
    assert len(found["items"]) == 3


def test_nothing_of_the_checkout_was_used(program: Path, empty: Path) -> None:
    code = "import hpo, recsys; print(hpo.__file__, recsys.__file__)"
    places = subprocess.run(
        [program.with_name("python"), "-c", code],
        cwd=empty, env=clean(empty), capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert all(place.startswith(str(program.parents[1])) for place in places)
