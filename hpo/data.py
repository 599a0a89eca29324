"""A study's data: loaded and split as its config says. Shared by all commands."""

from __future__ import annotations

from pathlib import Path

from hpo.settings import StudyConfig
from recsys.datasets import NAMES, load_dataset
from recsys.readers import Columns
from recsys.split import Split, split


def as_stored(config: StudyConfig) -> StudyConfig:
    """The config with nothing left to chance: it means the same in any folder and any version.

    Paths of data are absolute, and the base holds every hyperparameter, so that another default
    in a later version changes no old study.
    """
    base = config.train_config.as_dict()
    del base["seed"]  # every trial has its own
    source = config.data.source
    if source not in NAMES:
        source = str(Path(source).expanduser().resolve())
    data = config.data.model_copy(update={"source": source})
    return config.model_copy(update={"data": data, "base": base})


def load_data(config: StudyConfig) -> tuple[str, Split]:
    """The data's short name and its split.

    Raises:
        DataError: the data cannot be read, or nobody has enough rows to hold out.
    """
    data, rule = config.data, config.split
    columns = Columns(data.user_col, data.item_col, data.time_col)
    dataset = load_dataset(data.source, columns=columns, repeats=data.repeats)
    return dataset.name, split(
        dataset.interactions, rule.method, fraction=rule.fraction, seed=rule.seed
    )
