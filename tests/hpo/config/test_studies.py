"""Every study file in the repository loads, says what to expect, and the smoke study is small."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from hpo.config.json_schema import schema
from hpo.config.toml_file import load_study_config
from tests.support.paths import STUDIES

STUDY_FILES = sorted(STUDIES.glob("*.toml"))


@pytest.mark.parametrize("path", STUDY_FILES, ids=lambda path: path.stem)
def test_it_loads_and_its_header_tells_how_to_run_it(path: Path) -> None:
    config = load_study_config(path, {})
    assert config.space
    header = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert "python -m hpo.run" in header
    if path.stem != "smoke":
        assert "expect" in header


def test_there_are_the_three_that_the_readme_names() -> None:
    assert {path.stem for path in STUDY_FILES} >= {"two_tower", "wide", "smoke"}


@pytest.mark.parametrize("path", STUDY_FILES, ids=lambda path: path.stem)
def test_editors_find_the_schema_and_it_accepts_the_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#:schema ./study.schema.json\n")
    jsonschema.validate(tomllib.loads(text), schema())


def test_the_schema_is_up_to_date() -> None:
    stored = STUDIES / "study.schema.json"
    cure = "python -m hpo.config.json_schema > studies/study.schema.json"
    assert json.loads(stored.read_text(encoding="utf-8")) == schema(), cure


@pytest.mark.parametrize(
    "wrong",
    ["trials = 3", "base = { dim = 0 }", "space = { dimm = { low = 1, high = 2 } }", "seed = -1"],
)
def test_the_schema_refuses_what_a_study_refuses(wrong: str) -> None:
    good = {"space": {"dim": {"low": 1, "high": 200, "when": {"cuts": [1, 2]}}}}
    jsonschema.validate(good, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, **tomllib.loads(wrong)}, schema())
