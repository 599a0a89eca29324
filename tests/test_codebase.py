"""The limits that the source keeps, by the counts of benchmarks/codebase.py; and that it counts."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from benchmarks.codebase import ROOT, Measurement, measure, table

AT_LEAST = {
    "annotated": 1.00,
    "docstrings": 0.95,
    "args": 0.80,
    "raises": 0.80,
}
OPENINGS_AT_MOST = 0.02
FUNCTION_P95, FUNCTION_MAX, FILE_MAX = 30, 50, 400

PLANTED = '''\
"""Whose module this is."""

from typing import overload

class Thing:
    """A thing."""

    def __init__(self, size) -> None:
        self.size = size

    @staticmethod
    def make(size: int, colour: str) -> "Thing":
        """Make a thing.

        Args:
            size: in metres.
            colour: by name.
        """

    def paint(self, colour: str, *rest: str) -> None:
        """Of a colour."""
        if colour:
            raise ValueError(colour)

    def _hidden(self, one: int, two: int) -> None:
        try:
            self.paint("red")
        except ValueError:
            raise

@overload
def late(one: int, two: int) -> int: ...

def late(one: int, two: int) -> int:
    """
    Fail later.

    Raises:
        KeyError: always.
    """
    def inner():
        raise OSError
    raise KeyError(inner)

def outer() -> object:
    def fails() -> None:
        raise OSError
    return fails
'''


@cache
def ours() -> Measurement:
    return measure()


@pytest.mark.parametrize(("name", "floor"), AT_LEAST.items())
def test_enough_of_the_source_keeps_a_rule(name: str, floor: float) -> None:
    share = ours().shares[name]
    assert share.n > 50
    assert share.good >= floor, "\n".join(share.offenders)


def test_docstrings_name_the_thing_first() -> None:
    share = ours().shares["openings"]
    assert share.n > 1000
    assert share.bad <= OPENINGS_AT_MOST, "\n".join(share.offenders)


def test_functions_and_files_stay_short() -> None:
    found = ours()
    assert found.function_lines_p95 <= FUNCTION_P95
    assert found.function_lines_max <= FUNCTION_MAX
    assert found.file_lines_max <= FILE_MAX


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "thing.py").write_text(PLANTED, encoding="utf-8")
    return tmp_path


def test_planted_offenders_are_found_and_nothing_else(planted: Path) -> None:
    found = measure([planted])
    names = {
        name: [offender.split(":")[1].split(" ", 1)[1] for offender in share.offenders]
        for name, share in found.shares.items()
    }
    assert names == {
        "annotated": ["Thing.__init__(size)"],
        "docstrings": ["outer"],
        "args": ["Thing.paint", "late"],
        "raises": ["Thing.paint"],
        "openings": ["(module)", "Thing.paint"],
    }
    counted = {name: share.n for name, share in found.shares.items()}
    assert counted == {"annotated": 11, "docstrings": 6, "args": 3, "raises": 2, "openings": 5}
    assert found.shares["args"].offenders[0].endswith("thing.py:20 Thing.paint")
    assert found.function_lines_max == 5
    assert found.file_lines_max == PLANTED.count("\n")
    assert "| public functions with 2+ parameters: Args section | 33.3% (1/3) |" in table(found)


def test_the_command_prints_the_table_or_a_list(planted: Path) -> None:
    def said(*arguments: object) -> str:
        command = [sys.executable, "-m", "benchmarks.codebase", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "| Python files / lines | 1 / 48 |" in said(planted)
    assert said(planted, "--list", "docstrings").endswith("thing.py:45 outer\n")


def test_a_folder_without_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no Python files"):
        measure([tmp_path])
