"""A study's data: loaded and split as its config says. Shared by all commands."""

from __future__ import annotations

from pathlib import Path

from hpo.settings import StudyConfig
from recsys.datasets import NAMES, load_dataset
from recsys.readers import Columns
from recsys.split import Split, split


def with_absolute_source(config: StudyConfig) -> StudyConfig:
    """The config as it is stored: a path of data means the same from every folder."""
    if config.data.source in NAMES:
        return config
    source = str(Path(config.data.source).resolve())
    return config.model_copy(update={"data": config.data.model_copy(update={"source": source})})


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
