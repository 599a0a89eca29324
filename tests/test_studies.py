"""Every study file in the repository loads, says what to expect, and the smoke study is small."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.study_file import load_study_config

STUDIES = sorted((Path(__file__).parent.parent / "studies").glob("*.toml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_it_loads_and_its_header_tells_how_to_run_it(path: Path) -> None:
    config = load_study_config(path, {})
    assert config.space
    header = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert "python -m hpo.run" in header
    if path.stem != "smoke":
        assert "expect" in header


def test_there_are_the_three_that_the_readme_names() -> None:
    assert {path.stem for path in STUDIES} >= {"two_tower", "wide", "smoke"}
