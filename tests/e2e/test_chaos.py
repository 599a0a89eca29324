"""Two rounds of chaos; tests/faults has a hundred."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.chaos import Round


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("seed", range(2))
def test_a_study_survives(tmp_path: Path, seed: int) -> None:
    chaos = Round(tmp_path, seed)
    chaos.run(n_faults=4)
    chaos.check()
