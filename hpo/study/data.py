"""A study's data: loaded and split as its config says. Shared by all commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hpo.config.study_config import DataConfig, SplitConfig, StudyConfig
from hpo.errors import PromotionError
from hpo.study.records import StudyRecord
from recsys.data.splitting import Split, split
from recsys.datasets.features import with_features
from recsys.datasets.registry import NAMES, load_dataset
from recsys.errors import naming
from recsys.readers.reader import Columns


class Origin(Protocol):
    """Whatever says which data and which split: a study's config, or a model's recipe."""

    @property
    def data(self) -> DataConfig: ...
    @property
    def split(self) -> SplitConfig: ...


def as_stored(config: StudyConfig, split: Split) -> StudyConfig:
    """The config with nothing left to chance: it means the same in any folder and any version.

    Paths of data are absolute, the split has the method that it was made by, and the base holds
    every hyperparameter, so that another default in a later version changes no old study.
    """
    data = moved(config.data, config.data.source)
    rule = config.split.model_copy(update={"method": split.method})
    return config.with_whole_base().model_copy(update={"data": data, "split": rule})


def moved(data: DataConfig, source: str | None) -> DataConfig:
    """The same columns of another name or path, which becomes absolute; None: as it is."""
    if source is None:
        return data
    path = Path(source).expanduser()
    if source not in NAMES and path.exists():
        source = str(path.resolve())
    return data.model_copy(update={"source": source})


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def load_data(config: Origin, say: Callable[[str], None] = _to_stderr) -> tuple[str, Split]:
    """The data's short name and its split.

    Args:
        say: is told what reading left out.

    Raises:
        DataError: the data cannot be read, features cannot be made of it, or nobody has enough
            rows to hold out.
    """
    data, rule = config.data, config.split
    columns = Columns(data.user_col, data.item_col, data.time_col)
    dataset = load_dataset(data.source, columns=columns, repeats=data.repeats)
    for note in dataset.notes:
        say(note)
    dataset = with_features(dataset, items=data.item_features, users=data.user_features)
    with naming(data.source):
        parts = split(dataset.interactions, **rule.model_dump(), given=dataset.parts)
    return dataset.name, parts


def load_split(record: StudyRecord, data: str | None) -> Split:
    """The study's data, split as it was.

    Raises:
        PromotionError: it is not the same any more.
    """
    config = record.config
    config = config.model_copy(update={"data": moved(config.data, data)})
    _, split = load_data(config, lambda _: None)  # it was told when the study was made
    if split.fingerprint != record.split_fingerprint:
        raise PromotionError(
            f"{config.data.source} is not the data that the study was made on (data and split "
            f"were {record.split_fingerprint}, are {split.fingerprint}); give it with --data"
        )
    return split
