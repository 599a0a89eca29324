"""From a TOML file and options to a StudyConfig. All problems are reported at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hpo.errors import SettingsError
from hpo.settings import (
    DataConfig,
    Parameter,
    PromotionConfig,
    PrunerConfig,
    SamplerConfig,
    SplitConfig,
    StudyConfig,
)

SECTIONS: dict[str, type[BaseModel]] = {
    "data": DataConfig,
    "split": SplitConfig,
    "space": Parameter,
    "sampler": SamplerConfig,
    "pruner": PrunerConfig,
    "promotion": PromotionConfig,
}


def load_study_config(path: Path, overrides: dict[str, Any]) -> StudyConfig:
    """Read a study file, then put the options given on the command line over it.

    Args:
        path: a TOML file.
        overrides: top-level keys of StudyConfig; None means "not given".

    Raises:
        SettingsError: the file is missing or not TOML, or anything in it is unknown, out of
            range or contradictory; one line for every problem.
    """
    values = _read_toml(path)
    for name, value in overrides.items():
        if isinstance(value, dict):  # its keys go over those of the file
            before = values.get(name, {})
            values[name] = {**({"source": before} if isinstance(before, str) else before), **value}
        elif value is not None:
            values[name] = value
    try:
        config = StudyConfig.model_validate(values)
    except ValidationError as error:
        raise SettingsError(
            [f"{path}: {_describe(problem)}" for problem in error.errors()]
        ) from None
    if problems := config.problems():
        raise SettingsError([f"{path}: {problem}" for problem in problems])
    return config


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = ", ".join(sorted(str(found) for found in path.parent.glob("*.toml"))) or "none"
        raise SettingsError(
            f"{path}: no such study file; found in that folder: {near}. Give one with --study, "
            "or start this in the folder of the repository."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML: {error}") from None


def _describe(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"]) or "file"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        section = SECTIONS[problem["loc"][0]] if len(problem["loc"]) > 1 else StudyConfig
        return f"{place}: unknown key; known: {', '.join(section.model_fields)}"
    given = problem.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float) else ""
    return f"{place}: {message}{shown}"
