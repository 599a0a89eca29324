"""A hundred rounds of chaos, some of them long."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.chaos import Round

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]


@pytest.mark.parametrize("seed", range(1000, 1100))
def test_a_study_survives(tmp_path: Path, seed: int) -> None:
    long = seed % 10 == 0
    chaos = Round(tmp_path, seed, lock_seconds=20.0 if long else 3.0, leave_stopped=long)
    chaos.run(n_faults=8 if long else 5)
    chaos.check()
