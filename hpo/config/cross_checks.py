"""Checks of a study across keys: base, space, conditions and warm starts; and of its name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hpo.config.parameter import Condition, CycleError, Parameter, in_order, with_children
from hpo.config.search_space import SearchSpace, clamped_defaults, refusal, with_defaults
from hpo.config.study_config import MAX_NAME, StudyConfig
from hpo.errors import SettingsError
from recsys.config import Hyperparameters, TrainConfig
from recsys.errors import ConfigError


def searchable(model: type[Hyperparameters] = TrainConfig) -> tuple[str, ...]:
    """Return the hyperparameters of a model that a study may search: all but the seed."""
    return tuple(name for name in model.names() if name != "seed")


@dataclass(frozen=True)
class StudyProblem:
    """One mistake in a study.

    Attributes:
        place: the keys that lead to the mistake.
        text: the mistake in words.
        given: the given value as ` (given: VALUE)`; "" if it would not help.
    """

    place: tuple[str | int, ...]
    text: str
    given: str = ""

    def __str__(self) -> str:
        """Return the mistake on one line."""
        return f"{'.'.join(map(str, self.place))}: {self.text}{self.given}"


def problems(config: StudyConfig, broken: Collection[str] = ()) -> list[StudyProblem]:
    """Return all problems between the keys of a study.

    Args:
        config: a study whose keys are valid one by one.
        broken: parameters that were left out of `config` because they have errors themselves.
    """
    try:
        model = config.hyperparameters
    except SettingsError as error:
        return [StudyProblem(("trainable",), text) for text in error.problems]
    found = [*_name(config), *_of_two_towers(config)]
    for table in ("base", "base_on_gpu"):
        found += _values(config, getattr(config, table), table)
    for name, parameter in config.space.items():
        found += _parameter(name, parameter, model)
        found += _conditions(name, config.space, model)
    wrong = {str(problem.place[1]) for problem in found if len(problem.place) > 1}
    secrets = config.notify.secrets_of_the_command()
    found += [StudyProblem(("notify", "command"), text) for text in secrets]
    try:
        in_order(config.space)
    except CycleError as error:
        circle = error.args[1]
        text = f"conditions go in a circle: {' -> '.join(circle)}"
        found.append(StudyProblem(("space", circle[0], "when"), text))
        wrong |= set(circle)
    wrong = with_children(wrong, {name: p.when for name, p in config.space.items()})
    sound = config.model_copy(
        update={
            "base": {name: v for name, v in config.base.items() if name not in wrong},
            "base_on_gpu": {n: v for n, v in config.base_on_gpu.items() if n not in wrong},
            "space": {name: p for name, p in config.space.items() if name not in wrong},
        }
    )
    if why := _refused_base(sound):
        # what was left out may be what keeps the rules
        return found if wrong or broken else [*found, StudyProblem(("base",), why)]
    unjudged = {*wrong & set(config.space), *broken}
    of_starts = [*_warm_starts(sound, unjudged)]
    if sound.base_on_gpu:
        on_gpu = with_defaults(sound, sound.base_on_gpu)
        if why := _refused_base(on_gpu):
            return found if wrong or broken else [*found, StudyProblem(("base_on_gpu",), why)]
        told = {problem.place for problem in of_starts}
        of_starts += [
            replace(problem, text=f"with [base_on_gpu] {problem.text}")
            for problem in _warm_starts(on_gpu, unjudged)
            if problem.place not in told
        ]
    return [*found, *of_starts]


def check_study(config: StudyConfig) -> None:
    """Refuse a study that no launcher could run, from a file or made in Python.

    Raises:
        SettingsError: parts of the study contradict each other; one line for every problem.
    """
    if found := problems(config):
        raise SettingsError([str(problem) for problem in found])


def _name(config: StudyConfig) -> Iterator[StudyProblem]:
    """Yield the problem of a name that is too long; here, so that stored studies stay readable."""
    if config.name is not None and len(config.name) > MAX_NAME:
        text = f"must have at most {MAX_NAME} characters, which MLflow takes"
        yield StudyProblem(("name",), f"{text}; this one has {len(config.name)}")


def _of_two_towers(config: StudyConfig) -> Iterator[StudyProblem]:
    """Yield the settings of a study of another model that say something about two-towers only."""
    if config.trainable is not None and config.constraints.model_mb is not None:
        text = f"measures the tensors of two-towers, not {config.trainable}; leave it out"
        yield StudyProblem(("constraints", "model_mb"), text)
    if config.trainable is not None:
        for name in config.constraints.metrics:
            text = f"limits of metrics are for two-towers only, not {config.trainable}"
            yield StudyProblem(("constraints", name), text)


def _values(
    config: StudyConfig, values: Mapping[str, float], table: str = "base"
) -> Iterator[StudyProblem]:
    """Yield the problems of values of a table like [base]."""
    model = config.hyperparameters
    for name, value in values.items():
        if name == "seed":
            yield StudyProblem(
                (table, name), "every trial has its own; the study's is the key seed"
            )
            continue
        try:
            model.of_single_values({name: config.typed(name, value)})
        except ConfigError as error:
            text = error.problems[0].partition(": ")[2]
            given = "" if name not in model.names() else f" (given: {value:g})"
            yield StudyProblem((table, name), f"{text}{given}")


def _refused_base(config: StudyConfig) -> str:
    """Return why the model refuses the base as a whole, as given or as clamped; "" if it does not.

    Args:
        config: a study with valid values in base and space.
    """
    if why := refusal(_singly(config, {})):
        return why
    moved = clamped_defaults(config)
    why = refusal(_singly(config, moved))
    shown = ", ".join(f"{name} = {value:g}" for name, value in moved.items())
    return f"clamped to [space] ({shown}), {why}; give a base within [space]" if why else ""


def _singly(config: StudyConfig, values: Mapping[str, float]) -> Hyperparameters:
    """Return the base with other values, checked one by one."""
    base = {name: config.typed(name, value) for name, value in {**config.base, **values}.items()}
    return config.hyperparameters.of_single_values(base)


def _parameter(
    name: str, parameter: Parameter, model: type[Hyperparameters]
) -> Iterator[StudyProblem]:
    """Yield the problems of one parameter with its hyperparameter."""
    place, known = ("space", name), searchable(model)
    if name not in known:
        yield StudyProblem(place, f"no such hyperparameter; known: {', '.join(known)}")
        return
    low, high = model.bounds(name)
    outside = [value for value in parameter.values if not low <= value <= high]
    if outside:
        yield StudyProblem(place, f"{outside[0]:g} is out of range: {low:g}..{high:g} is allowed")
    numbers = [*parameter.values, *([parameter.step] if parameter.step else [])]
    if model.is_integer(name) and not all(float(number).is_integer() for number in numbers):
        yield StudyProblem(place, "takes whole numbers only")
    # not where studies are read, since those that are stored have run with it
    elif parameter.loses_its_end:
        text = (
            f"step={parameter.step:.12g} does not lead exactly to high={parameter.high:.12g}, the "
            f"last is {parameter.last:.12g}; give that, or leave out the step"
        )
        yield StudyProblem(place, text)


def _conditions(
    name: str, space: Mapping[str, Parameter], model: type[Hyperparameters]
) -> Iterator[StudyProblem]:
    """Yield the problems of one parameter's conditions."""
    for parent, condition in space[name].when.items():
        place = ("space", name, "when", parent)
        if parent not in space:
            yield StudyProblem(place, _not_searched(name, space))
        elif (
            parent in searchable(model)
            and parent != name
            and (
                why := _impossible(condition, space[parent], parent, whole=model.is_integer(parent))
            )
        ):
            yield StudyProblem(place, why)


def _not_searched(name: str, space: Iterable[str]) -> str:
    """Return the words for a condition of parameter `name` on one that is not searched."""
    others = ", ".join(other for other in space if other != name) or "nothing else"
    return f"is not searched, so it is no condition; searched: {others}"


def unknown_parents(space: Any, names: Collection[str]) -> Iterator[StudyProblem]:
    """Yield conditions on parameters that are not searched, for parameters with own errors.

    Args:
        space: the table `space` as written in the file.
        names: the parameters with errors of their own.
    """
    for name, spec in space.items() if isinstance(space, dict) else ():
        when = spec.get("when") if name in names and isinstance(spec, dict) else None
        for parent in when if isinstance(when, dict) else ():
            if parent not in space:
                yield StudyProblem(("space", name, "when", parent), _not_searched(name, space))


def _impossible(condition: Condition, parent: Parameter, name: str, *, whole: bool) -> str:
    """Return the reason why a condition can never hold; "" if it can."""
    if condition.choices is not None:
        if parent.choices is None and not whole and not parent.step:
            return f"{name} is continuous: give low, high or both, within {parent}"
        never = [
            f"{choice:g}"
            for choice in condition.choices
            if not parent.holds(choice) or (whole and not choice.is_integer())
        ]
        return f"{name} is never {', '.join(never)}; it is {parent}" if never else ""
    return "" if parent.can_meet(condition, whole=whole) else f"never holds; {name} is {parent}"


def _warm_starts(config: StudyConfig, broken: Collection[str]) -> Iterator[StudyProblem]:
    """Yield the problems of warm starts; each, with clamped defaults, must lie in the space."""
    config = with_defaults(config, clamped_defaults(config))
    for index, start in enumerate(config.warm_starts):
        values = {name: value for name, value in start.items() if name not in broken}
        wrong = {name: value for name, value in start.items() if name in broken}
        for problem in _values(config, wrong):
            yield StudyProblem(("warm_starts", index, problem.place[1]), problem.text)
        for name, text in start_problems(config, values, broken).items():
            yield StudyProblem(("warm_starts", index, name), text)


def start_problems(
    config: StudyConfig, values: Mapping[str, float], broken: Collection[str] = ()
) -> dict[str, str]:
    """Return by parameter the reasons why no trial of a study can have these values; {} if one can.

    Args:
        config: a study with valid base and space.
        values: values of hyperparameters; missing ones come from the base.
        broken: parameters of the study that were left out of the space because of errors.
    """
    found, space = {}, config.space
    for name, value in values.items():
        if name not in space:
            found[name] = f"is not searched; searched: {', '.join([*space, *sorted(broken)])}"
        elif not space[name].holds(value) or not _fits(config, name, value):
            found[name] = f"{value:g} is not in {space[name]}"
    sound = {name: config.typed(name, value) for name, value in values.items() if name not in found}
    searched = SearchSpace(config)
    whole = searched.config(sound, config.train_config.seed)
    active = searched.params(whole)
    for name in sound:
        if name not in active:
            when = " and ".join(f"{parent} in {c}" for parent, c in space[name].when.items())
            found[name] = f"is searched only where {when}; leave it out"
    for name, value in active.items():
        if name not in values and not space[name].holds(value):
            found[name] = f"is missing: the base has {value:g}, which is not in {space[name]}"
    if not (found or broken) and (why := refusal(whole)):
        found[", ".join(values)] = why
    return found


def _fits(config: StudyConfig, name: str, value: float) -> bool:
    """Return True if the hyperparameter's type allows the value."""
    return not config.hyperparameters.is_integer(name) or float(value).is_integer()
