"""A registry with one model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.registered import Registered


@pytest.fixture
def registered(tmp_path: Path) -> Registered:
    found = Registered(tmp_path)
    found.add()
    return found
