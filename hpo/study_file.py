"""From a TOML file and options to a StudyConfig, and back. All problems are reported at once."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hpo.checks import Problem, problems
from hpo.errors import SettingsError
from hpo.override import Override
from hpo.parameter import Condition, Parameter, with_children
from hpo.settings import StudyConfig, plain

SCHEMA = "study.schema.json"  # beside the study files


def load_study_config(
    path: Path, options: Mapping[str, Any], overrides: Sequence[Override] = ()
) -> StudyConfig:
    """Read a study file, put `--set` over it, and over both the other options.

    Args:
        path: a TOML file.
        options: top-level keys of StudyConfig; None means "not given".
        overrides: in the order in which they were given.

    Raises:
        SettingsError: the file is missing or not TOML, or anything in it is unknown, out of
            range or contradictory; one line for every problem.
    """
    values = _read_toml(path)
    if isinstance(values.get("data"), str):
        values["data"] = {"source": values["data"]}
    for override in overrides:
        override.put_into(values)
    for name, value in options.items():
        if isinstance(value, dict):  # its keys go over those of the file
            values[name] = {**values.get(name, {}), **value}
        elif value is not None:
            values[name] = value
    config, found = _validated(values)
    if config is None or found:
        raise SettingsError([f"{_origin(p.place, path, overrides)}: {p}" for p in found])
    return config


def dump_study_config(config: StudyConfig) -> str:
    """The whole study as a TOML file, with nothing left to defaults; loading it gives it back."""
    import tomli_w

    values = config.with_whole_base().model_dump(mode="json", exclude_none=True)
    for table in (values["base"], *values["warm_starts"]):
        table |= {name: plain(name, value) for name, value in table.items()}
    for name, parameter in values["space"].items():
        conditions = parameter.pop("when")
        parameter.update(_whole(name, parameter))
        if conditions:
            parameter["when"] = {parent: _whole(parent, c) for parent, c in conditions.items()}
    return f"#:schema ./{SCHEMA}\n\n{tomli_w.dumps(values)}"


def _whole(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """64, not 64.0, where the hyperparameter is an integer."""
    return {
        key: [plain(name, v) for v in value]
        if isinstance(value, list)
        else value
        if isinstance(value, bool)
        else plain(name, value)
        for key, value in values.items()
    }


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


def _validated(values: dict[str, Any]) -> tuple[StudyConfig | None, list[Problem]]:
    """The study and what is wrong with it, with its keys and among them alike."""
    try:
        config = StudyConfig.model_validate(values)
    except ValidationError as error:
        found = [_problem(problem) for problem in error.errors()]
    else:
        return config, problems(config)
    places = [problem.place for problem in found]
    out = _unjudged(values, places)
    try:
        rest = StudyConfig.model_validate(_sound(values, places, out))
    except ValidationError:  # nothing to search is left: the rest cannot be judged
        return None, found
    return None, [*found, *problems(rest, out)]


def _problem(error: Any) -> Problem:
    place, message = error["loc"], error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return Problem(place, f"unknown key; known: {', '.join(_section(place).model_fields)}")
    given = error.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float) else ""
    return Problem(place, f"{message}{shown}")


def _section(place: Sequence[str | int]) -> type[BaseModel]:
    """The table that the last key of `place` is in."""
    if len(place) == 1:
        return StudyConfig
    if place[0] == "space":
        return Condition if len(place) > 3 else Parameter
    section = StudyConfig.model_fields[str(place[0])].annotation
    assert isinstance(section, type) and issubclass(section, BaseModel)
    return section


def _unjudged(values: Mapping[str, Any], places: Collection[tuple[Any, ...]]) -> set[str]:
    """Hyperparameters that are wrong in base or space, and those with a condition on them."""
    wrong = {place[1] for place in places if place[0] in ("base", "space") and len(place) > 1}
    space = values.get("space")
    if not isinstance(space, dict):
        return wrong
    wrong &= set(space)
    whens = {n: spec.get("when") for n, spec in space.items() if isinstance(spec, dict)}
    return with_children(wrong, {n: when for n, when in whens.items() if isinstance(when, dict)})


def _sound(
    values: Mapping[str, Any], places: Collection[tuple[Any, ...]], out: Collection[str]
) -> dict[str, Any]:
    """A copy without what is wrong, and without what cannot be judged without it."""
    rest = copy.deepcopy(dict(values))
    for place in places:
        if len(place) > 1 and place[0] == "warm_starts":
            rest["warm_starts"][place[1]] = {}
        elif len(place) > 1 and place[0] in ("base", "space"):
            rest[place[0]].pop(place[1], None)
        else:
            rest.pop(place[0], None)
    for table in (rest.get("base"), rest.get("space"), *_list(rest.get("warm_starts"))):
        for name in out if isinstance(table, dict) else ():
            table.pop(name, None)
    return rest


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _origin(place: tuple[str | int, ...], path: Path, overrides: Sequence[Override]) -> str:
    """Where the user wrote it: the option that came last, or the file."""
    given = [override for override in overrides if override.concerns(place)]
    return f"--set {given[-1].text}" if given else str(path)
