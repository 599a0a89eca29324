"""A study's data: loaded and split as its config says. Shared by all commands."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import PromotionError
from hpo.records import StudyRecord
from hpo.settings import StudyConfig
from recsys.datasets import NAMES, load_dataset
from recsys.feature_tables import with_features
from recsys.readers import Columns
from recsys.split import Split, split


def as_stored(config: StudyConfig, split: Split) -> StudyConfig:
    """The config with nothing left to chance: it means the same in any folder and any version.

    Paths of data are absolute, the split has the method that it was made by, and the base holds
    every hyperparameter, so that another default in a later version changes no old study.
    """
    source = config.data.source
    if source not in NAMES:
        source = str(Path(source).expanduser().resolve())
    data = config.data.model_copy(update={"source": source})
    rule = config.split.model_copy(update={"method": split.method})
    return config.with_whole_base().model_copy(update={"data": data, "split": rule})


def load_data(config: StudyConfig) -> tuple[str, Split]:
    """The data's short name and its split.

    Raises:
        DataError: the data cannot be read, features cannot be made of it, or nobody has enough
            rows to hold out.
    """
    data, rule = config.data, config.split
    columns = Columns(data.user_col, data.item_col, data.time_col)
    dataset = load_dataset(data.source, columns=columns, repeats=data.repeats)
    dataset = with_features(dataset, items=data.item_features, users=data.user_features)
    return dataset.name, split(dataset.interactions, **rule.model_dump(), given=dataset.parts)


def load_split(record: StudyRecord, data: str | None) -> Split:
    """The study's data, split as it was.

    Raises:
        PromotionError: it is not the same any more.
    """
    config = record.config
    if data is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"source": data})})
    _, split = load_data(config)
    if split.fingerprint != record.split_fingerprint:
        raise PromotionError(
            f"{config.data.source} is not the data that the study was made on (data and split "
            f"were {record.split_fingerprint}, are {split.fingerprint}); give it with --data"
        )
    return split
