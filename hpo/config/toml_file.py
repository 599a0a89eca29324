"""Reading and writing of study files; all problems of a file are reported at once."""

from __future__ import annotations

import copy
import difflib
import shlex
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hpo.config.algorithms import PrunerConfig, SamplerConfig
from hpo.config.cross_checks import StudyProblem, problems, unknown_parents
from hpo.config.error_text import is_explained_by_items, toml_text, words_for
from hpo.config.override import Override
from hpo.config.parameter import Condition, Parameter, with_children
from hpo.config.search_space import left_open
from hpo.config.shipped_studies import SCHEMA_FILE, shipped_names
from hpo.config.study_config import MetricLimit, StudyConfig
from hpo.errors import SettingsError

NO_STUDIES = ("pyproject.toml",)
TABLES = ("base", "base_on_gpu", "space")  # of hyperparameters by name
FLAGS = {  # options with another name than their key
    ("name",): "--study-name",
    ("data", "source"): "--data",
    ("split", "method"): "--split",
    ("tags",): "--tag",
}


def load_study_config(
    path: Path, options: Mapping[str, Any], overrides: Sequence[Override] = ()
) -> StudyConfig:
    """Read a study file and apply the overrides, then the options.

    Args:
        path: a TOML file.
        options: values of options by top-level key of StudyConfig; None means "not given".
        overrides: the `--set` options in the order in which they were given.

    Raises:
        SettingsError: the file is missing or not TOML, or anything in it is unknown, out of
            range or contradictory; one line for every problem.
    """
    values = _read_toml(path)
    _drop_options_of_other_kinds(values, overrides)
    _spell_out_data(values)
    for override in overrides:
        override.put_into(values)
    _spell_out_data(values)
    put = _put_options(values, options)
    config, found = _validated(values)
    if config is None or found:
        raise SettingsError([_problem_line(p, path, put, overrides) for p in found])
    return config


def _spell_out_data(values: dict[str, Any]) -> None:
    """Expand `data = "demo"` to the table that it stands for, so that keys can be added."""
    if isinstance(values.get("data"), str):
        values["data"] = {"source": values["data"]}


def _put_options(values: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Overlay the options; return those applied, so that errors can name them."""
    put = {}
    for name, value in options.items():
        if isinstance(value, dict):  # the option's keys override those of the file
            table = values.get(name, {})
            if not isinstance(table, dict):
                continue  # the file is at fault, and validation reports it
            values[name] = {**table, **value}
        elif value is not None:
            values[name] = value
        else:
            continue
        put[name] = value
    return put


def _drop_options_of_other_kinds(values: dict[str, Any], overrides: Sequence[Override]) -> None:
    """Drop the file's options of a sampler or pruner that `--set` replaces by another kind."""
    for section, kinds in (("sampler", SamplerConfig), ("pruner", PrunerConfig)):
        names = [one.value for one in overrides if one.place == (section, "name")]
        table = values.get(section)
        last = names[-1] if names else None
        if isinstance(table, dict) and isinstance(last, str) and last in kinds.OPTIONS:
            own = ("name", *kinds.OPTIONS[last])
            values[section] = {key: value for key, value in table.items() if key in own}


def default_name(path: Path, config: StudyConfig) -> str:
    """Return the study's name; FILE-DATA if the config has none. Reads no data.

    Args:
        path: the study file.
        config: the study's config.
    """
    from recsys.readers import short_name

    return config.name or f"{path.stem}-{short_name(config.data.source)}"


def dump_study_config(config: StudyConfig) -> str:
    """Return the study as TOML with all defaults spelled out; loading it gives the same study.

    What data and device decide stays open.
    """
    import tomli_w

    values = config.with_whole_base().model_dump(mode="json", exclude_none=True)
    for name in left_open(config):
        del values["base"][name]
    for table in (values["base"], values["base_on_gpu"], *values["warm_starts"]):
        table |= {name: config.typed(name, value) for name, value in table.items()}
    for name in ("sampler", "pruner"):
        kind = getattr(config, name)
        values[name] = {"name": kind.name, **kind.options}
    for name, parameter in values["space"].items():
        conditions = parameter.pop("when")
        parameter.update(_whole(name, parameter, config))
        if conditions:
            parameter["when"] = {
                parent: _whole(parent, condition, config)
                for parent, condition in conditions.items()
            }
    return f"#:schema ./{SCHEMA_FILE}\n\n{tomli_w.dumps(values)}"


def _whole(name: str, values: Mapping[str, Any], config: StudyConfig) -> dict[str, Any]:
    """Return a parameter's table with 64, not 64.0, if the hyperparameter is an integer."""
    return {
        key: [config.typed(name, v) for v in value]
        if isinstance(value, list)
        else value
        if isinstance(value, bool)
        else config.typed(name, value)
        for key, value in values.items()
    }


def _read_toml(path: Path) -> dict[str, Any]:
    """Read a study file as plain tables.

    Raises:
        SettingsError: the file is missing, a folder, unreadable, not UTF-8 or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Notepad writes its mark
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no such study file; study files there: {_study_files(path.parent)}. Give one "
            f"with --study, or the name of a shipped one: {', '.join(shipped_names())}."
        ) from None
    except IsADirectoryError:
        raise SettingsError(
            f"{path}: is a folder; study files there: {_study_files(path)}. Give one with --study."
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8 ({error}); save it as UTF-8") from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML: {error}") from None


def _study_files(folder: Path) -> str:
    """Return the TOML files of a folder, except those of other programs, as a list in words."""
    found = sorted(folder.glob("*.toml"))
    return ", ".join(str(path) for path in found if path.name not in NO_STUDIES) or "none"


def _validated(values: dict[str, Any]) -> tuple[StudyConfig | None, list[StudyProblem]]:
    """Return the study, None if a key is invalid, and all problems of keys and between keys."""
    try:
        config = StudyConfig.model_validate(values)
    except ValidationError as error:
        locations = [each["loc"] for each in error.errors()]
        found = [_as_problem(e) for e in error.errors() if not is_explained_by_items(e, locations)]
    else:
        return config, problems(config)
    locations = [problem.place for problem in found]
    out = _unjudged(values, locations)
    found += unknown_parents(values.get("space"), out)
    try:
        rest = StudyConfig.model_validate(_sound(values, locations, out))
    except ValidationError:  # no parameter is left, so the rest cannot be checked
        return None, found
    return None, [*found, *problems(rest, out)]


def _as_problem(error: Any) -> StudyProblem:
    """Return one of `ValidationError.errors()` as a problem."""
    place = error["loc"]
    if error["type"] == "extra_forbidden":
        known = list(_section(place).model_fields)
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return StudyProblem(place, f"unknown key{hint}; known: {', '.join(known)}")
    value = error.get("input")
    shown = f" (given: {toml_text(value)})" if isinstance(value, str | int | float) else ""
    return StudyProblem(place, words_for(error), shown)


def _section(place: Sequence[str | int]) -> type[BaseModel]:
    """Return the class of the table with the last key of `place`."""
    if len(place) == 1:
        return StudyConfig
    if place[0] == "space":
        return Condition if len(place) > 3 else Parameter
    if place[0] == "constraints" and len(place) > 2:
        return MetricLimit
    section = StudyConfig.model_fields[str(place[0])].annotation
    assert isinstance(section, type) and issubclass(section, BaseModel)
    return section


def _unjudged(values: Mapping[str, Any], locations: Collection[tuple[Any, ...]]) -> set[str]:
    """Return hyperparameters with errors in base or space, and those with conditions on them."""
    wrong = {place[1] for place in locations if place[0] in TABLES and len(place) > 1}
    space = values.get("space")
    if not isinstance(space, dict):
        return wrong
    wrong &= set(space)
    whens = {n: spec.get("when") for n, spec in space.items() if isinstance(spec, dict)}
    return with_children(wrong, {n: when for n, when in whens.items() if isinstance(when, dict)})


def _sound(
    values: Mapping[str, Any], locations: Collection[tuple[Any, ...]], out: Collection[str]
) -> dict[str, Any]:
    """Return a copy without the wrong keys and without the hyperparameters in `out`."""
    rest = copy.deepcopy(dict(values))
    for place in locations:
        if len(place) > 1 and place[0] == "warm_starts":
            rest["warm_starts"] = list(rest["warm_starts"])  # a program may give a tuple
            rest["warm_starts"][place[1]] = {}
        elif len(place) > 1 and place[0] in TABLES:
            rest[place[0]].pop(place[1], None)
        else:
            rest.pop(place[0], None)
    for table in map(rest.get, TABLES):
        if isinstance(table, dict):
            for name in out:
                table.pop(name, None)
    return rest


def _problem_line(
    problem: StudyProblem, path: Path, options: Mapping[str, Any], overrides: Sequence[Override]
) -> str:
    """Return the problem as a line that begins with its source: an option, --set or the file."""
    top, *inner = problem.place
    value = options.get(str(top))
    if isinstance(value, dict) and inner and top != "tags":
        value = value.get(str(inner[0]))
    if value is not None:
        place = tuple(map(str, problem.place[:2]))
        flag = FLAGS.get(place) or FLAGS.get(place[:1]) or f"--{place[-1].replace('_', '-')}"
        shown = f" {shlex.quote(str(value))}" if isinstance(value, str | int | float) else ""
        return f"{flag}{shown}: {problem.text}"
    concerned = [override for override in overrides if override.concerns(problem.place)]
    return f"{f'--set {concerned[-1].text}' if concerned else path}: {problem}"
