"""The check for machines with a GPU, as far as it means something without one."""

from __future__ import annotations

from pathlib import Path

from benchmarks import gpu
from tests.support.commands import run
from tests.support.paths import ROOT


def test_its_speeds_are_measured_without_a_gpu_too() -> None:
    code, out, err = run(
        "benchmarks.gpu", "--device", "cpu", "--small", "--part", "speed", cwd=ROOT
    )
    assert code == 0, out + err
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["pass"] * 3


def test_a_part_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    setting = gpu.Setting("cpu", small=True, ml_100k="demo", folder=tmp_path)
    assert gpu.check(setting, "replay") == {"replay": "FAIL"}  # no study is there yet
    assert gpu.check(setting, "cuda tests") == {"cuda tests": "skipped"}
