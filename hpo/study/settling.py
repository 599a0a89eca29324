"""From the study that was asked for to the one that its data allows; each change is told."""

from __future__ import annotations

from collections.abc import Collection

from hpo.config.search_space import clamped_defaults, clamped_lines, with_defaults
from hpo.config.study_config import StudyConfig
from hpo.errors import SettingsError
from hpo.study.records import StudyRecord
from recsys.data.interactions import Interactions
from recsys.training.without_effect import ineffective_parameters


def settled(
    config: StudyConfig, data: Interactions, stored: StudyRecord | None
) -> tuple[StudyConfig, list[str]]:
    """Leave out parameters without effect on the data, and clamp defaults into their ranges.

    Args:
        config: a study whose keys are sound.
        stored: of the study of that name, if there is one: what it searches it goes on to search,
            and a default that it has beside an unchanged range stays.

    Returns:
        The study and a line on each change.

    Raises:
        SettingsError: nothing else would be searched.
    """
    config, lines = _without_the_idle(config, data, () if stored is None else stored.config.space)
    moved = {
        name: value
        for name, value in clamped_defaults(config).items()
        if stored is None or not _is_stored(name, config, stored.config)
    }
    return with_defaults(config, moved), [*lines, *clamped_lines(config, moved)]


def _without_the_idle(
    config: StudyConfig, data: Interactions, kept: Collection[str]
) -> tuple[StudyConfig, list[str]]:
    reasons = ineffective_parameters(data)
    idle = {name for name in reasons if name in config.space and name not in kept}
    # A condition on it is an effect.
    while parents := idle & {p for n, s in config.space.items() if n not in idle for p in s.when}:
        idle -= parents
    if not idle:
        return config, []
    told = [f"{name} ({reasons[name]})" for name in config.space if name in idle]
    space = {name: spec for name, spec in config.space.items() if name not in idle}
    if not space:
        raise SettingsError(
            f"[space]: nothing in it has an effect on this data: {'; '.join(told)}. Search "
            "another parameter too, for instance --set 'space.dim={ low = 64, high = 256 }'"
        )
    starts = tuple({n: v for n, v in s.items() if n not in idle} for s in config.warm_starts)
    lines = [f"not searched, without effect on this data: {each}" for each in told]
    return config.model_copy(update={"space": space, "warm_starts": starts}), lines


def _is_stored(name: str, config: StudyConfig, stored: StudyConfig) -> bool:
    """Return True if the study was made with this very range and default."""
    default = getattr(config.train_config, name)
    same_range = stored.space.get(name) == config.space[name]
    return same_range and getattr(stored.train_config, name) == default
