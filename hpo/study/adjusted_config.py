"""The study config adjusted to the data, with a line for people on each adjustment."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from hpo.config import StudyConfig, clamped_defaults, clamped_lines, with_defaults
from hpo.errors import SettingsError
from hpo.study.records import StudyRecord
from recsys.config import TrainConfig
from recsys.data import Interactions
from recsys.messages import count
from recsys.models import MAX_EASE_ITEMS, ineffective_parameters

# Defaults for the next item, chosen on two data sets (studies/LOG.md, 2026-11-29). A study that
# sets or searches one of the first two chooses for itself. Whoever changes them adds the old ones
# to _was_made_for_next_item: studies made with them must be able to go on.
NEXT_ITEM: Mapping[str, float] = {"neighbours": 200, "reverse_weight": 0.6, "neighbour_weight": 5.0}
DECISIVE = {"neighbours", "reverse_weight"}
LONG_LISTS = 10_000  # items up to which long lists are the default: 16 MB in every model

# A step on a GPU is expected to take as long for 1,024 users as for 128, but too few steps an epoch
# cost quality. Chosen by quality, on CPUs (studies/LOG.md, 2026-11-30, night).
GPU_BATCHES = (256, 512, 1024)
GPU_STEPS = 24  # full ones in an epoch, at least


def adjust_to_data(
    config: StudyConfig,
    data: Interactions,
    stored: StudyRecord | None,
    users_on_gpu: int | None = None,
) -> tuple[StudyConfig, list[str]]:
    """Leave out parameters without effect on the data, and choose defaults that suit it.

    Studies with the split leave-one-out get defaults for the next item, those made on a GPU get
    defaults for it, and all defaults are moved into their ranges. A new study is also told of a
    shipped study file that suits its data better.

    Args:
        config: a study config without problems, see `hpo.config.cross_checks`.
        data: the interactions of the study.
        stored: record of the existing study of that name, if there is one. Its parameters all
            stay, and so does a default if neither it nor the range has changed.
        users_on_gpu: users that an epoch goes over, if trials run on GPUs; None on CPUs.

    Returns:
        The adjusted config, and lines for people. Its `base_on_gpu` holds the defaults that a study
        has because it was made on a GPU, and is empty for all others.

    Raises:
        SettingsError: no parameter would be left to search.
    """
    advice = _suited_study(config, data) if stored is None else None
    config, lines = _without_the_idle(config, data, () if stored is None else stored.config.space)
    suited = _suited_defaults(config, data, stored)
    config = with_defaults(config, suited)
    table, on_gpu = _defaults_on_gpu(config, stored, users_on_gpu)
    config = with_defaults(config, on_gpu).model_copy(update={"base_on_gpu": table})
    for why, chosen in (("for the next item", suited), ("on a GPU", on_gpu)):
        if chosen and stored is None:
            told = ", ".join(f"{name} {value:.4g}" for name, value in chosen.items())
            lines.append(f"defaults {why}: {told}")
    moved = {
        name: value
        for name, value in clamped_defaults(config).items()
        if stored is None or not _is_stored(name, config, stored.config)
    }
    lines += clamped_lines(config, moved)
    return with_defaults(config, moved), [*lines, advice] if advice else lines


def _suited_defaults(
    config: StudyConfig, data: Interactions, stored: StudyRecord | None
) -> dict[str, float]:
    """Return defaults that suit the data and that the study leaves open, by hyperparameter.

    A stored study that was made with them keeps them, whatever has changed since.
    """
    if config.trainable is not None:
        return {}
    suited: Mapping[str, float] = {}
    if stored is None and _suits_next_item(config, data):
        suited = NEXT_ITEM
    elif stored is not None and _was_made_for_next_item(stored.config):
        suited = stored.config.base
    return {name: suited[name] for name in NEXT_ITEM if name in suited and name not in config.base}


def _defaults_on_gpu(
    config: StudyConfig, stored: StudyRecord | None, users: int | None
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the table of a study made on a GPU, and the defaults in it; none for other studies.

    A stored study keeps what it was made with, unless a table is given and differs.
    """
    if stored is None:
        chosen = {} if users is None else config.base_on_gpu or _automatic(config, users)
        return chosen, chosen
    table, now = stored.config.base_on_gpu, config.base_on_gpu
    if not table or stored.config.trainable != config.trainable:
        return {}, {}
    if now and now != table:
        return now, now
    names = [name for name in table if now or name not in config.base]
    return table, {name: stored.config.base[name] for name in names}


def _automatic(config: StudyConfig, users: int) -> dict[str, float]:
    """Return the batch size by the users of an epoch, and an lr that grows with its root."""
    if config.trainable is not None or "batch_size" in {*config.base, *config.space}:
        return {}
    usual, turns = TrainConfig(), users * TrainConfig.of(config.train_config).cuts
    fitting = [batch for batch in GPU_BATCHES if turns >= GPU_STEPS * batch]
    if not fitting:
        return {}
    lr = usual.lr * math.sqrt(fitting[-1] / usual.batch_size)
    return {"batch_size": fitting[-1], **({} if "lr" in config.base else {"lr": lr})}


def _was_made_for_next_item(stored: StudyConfig) -> bool:
    """Return True if a stored study has the defaults for the next item, given or chosen."""
    same = all(stored.base.get(name) == NEXT_ITEM[name] for name in DECISIVE)
    return stored.trainable is None and same


def _suits_next_item(config: StudyConfig, data: Interactions) -> bool:
    """Return True if a new study wants the defaults for the next item, and can afford them."""
    told = {*config.base, *config.base_on_gpu, *config.space}
    wants_neighbours = config.base.get("neighbour_weight") != 0 and not DECISIVE & told
    affordable = data.n_items <= LONG_LISTS and config.constraints.model_mb is None
    return _asks_next_item(config, data) and wants_neighbours and affordable


def _asks_next_item(config: StudyConfig, data: Interactions) -> bool:
    """Return True if the study tunes the two-tower for the next item of ordered histories."""
    ordered = data.times is not None
    return config.trainable is None and ordered and config.split.method == "leave-one-out"


def _suited_study(config: StudyConfig, data: Interactions) -> str | None:
    """Return a line that names the shipped study file made for such data; None for all others."""
    if config.trainable is not None:
        return None
    told = {*config.base, *config.space}  # a study that sets these knows its kind of data
    if _asks_next_item(config, data):
        name, known, kind = "next_item", "reverse_weight", "asks for the next item"
    elif data.times is None and data.n_items > MAX_EASE_ITEMS:
        kind = f"has {count(data.n_items, 'item')} without times"
        name, known = "sparse", "walk_alpha"
    else:
        return None
    return None if known in told else f"this study {kind}: --study {name} is made for that"


def _without_the_idle(
    config: StudyConfig, data: Interactions, kept: Collection[str]
) -> tuple[StudyConfig, list[str]]:
    """Leave out parameters without effect, except those in `kept`; return a line on each.

    Raises:
        SettingsError: no parameter would be left to search.
    """
    reasons = {} if config.trainable is not None else ineffective_parameters(data)
    idle = {name for name in reasons if name in config.space and name not in kept}
    # A parameter in another one's condition does have an effect: it decides what is searched.
    while parents := idle & {p for n, s in config.space.items() if n not in idle for p in s.when}:
        idle -= parents
    if not idle:
        return config, []
    told = [f"{name} ({reasons[name]})" for name in config.space if name in idle]
    space = {name: spec for name, spec in config.space.items() if name not in idle}
    if not space:
        raise SettingsError(
            f"[space]: no parameter in it has an effect on this data: {'; '.join(told)}. Search "
            "another parameter too, for instance --set 'space.dim={ low = 64, high = 256 }'"
        )
    starts = tuple({n: v for n, v in s.items() if n not in idle} for s in config.warm_starts)
    lines = [f"not searched, without effect on this data: {each}" for each in told]
    return config.model_copy(update={"space": space, "warm_starts": starts}), lines


def _is_stored(name: str, config: StudyConfig, stored: StudyConfig) -> bool:
    """Return True if the stored study has the same range and default of a parameter."""
    default = getattr(config.train_config, name)
    same_range = stored.space.get(name) == config.space[name]
    return same_range and getattr(stored.train_config, name) == default
