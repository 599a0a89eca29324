"""Places in the checkout that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "studies"
SHARED = ROOT.parent / "shared" / "data"  # real data, where there is some
