"""For all tests of benchmarks: their scripts import each other as modules at the top."""

from __future__ import annotations

import sys

from tests.support.paths import ROOT

sys.path.append(str(ROOT / "benchmarks"))
