"""A study's data, loaded and split as its config says, for all commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hpo.config import DataConfig, SplitConfig, StudyConfig
from hpo.errors import PromotionError
from hpo.study.records import StudyRecord
from recsys.data import Split, split
from recsys.datasets import NAMES, absolute_url, load_as_set
from recsys.errors import naming
from recsys.messages import nothing, to_stderr
from recsys.readers import matching_files


class Origin(Protocol):
    """The choice of data and split, which a study's config and a model's recipe both hold."""

    @property
    def data(self) -> DataConfig:
        """Return the choice of the data."""

    @property
    def split(self) -> SplitConfig:
        """Return the choice of the split."""


def as_stored(config: StudyConfig, split: Split) -> StudyConfig:
    """Return the config with everything spelled out, valid in any folder and any later version.

    Paths of data become absolute, the split gets the method that was used, and the base gets every
    hyperparameter, so that another default in a later version changes no old study.

    Args:
        config: the study's config as given.
        split: the split made with this config.
    """
    data = with_source(config.data, config.data.source)
    rule = config.split.model_copy(update={"method": split.method})
    return config.with_whole_base().model_copy(update={"data": data, "split": rule})


def with_source(data: DataConfig, source: str | None) -> DataConfig:
    """Return the data config with another source; an existing path becomes absolute.

    Args:
        data: the data config.
        source: name of a data set, a path, or a URL; None: keep the source unchanged.

    Raises:
        DataError: the data is a query's, and the source is no URL of a database.
    """
    if source is None:
        return data
    path = Path(source).expanduser()
    if data.sql is not None:
        source = absolute_url(source)
    elif source not in NAMES and path.exists():
        source = str(path.resolve())
    elif matching_files(path):
        source = str(path.parent.resolve() / path.name)
    return data.model_copy(update={"source": source})


def load_data(
    config: Origin,
    say: Callable[[str], None] = to_stderr,
    *,
    announce: Callable[[str], None] = to_stderr,
) -> tuple[str, Split]:
    """Load the data and split it.

    Args:
        config: the choice of data and split.
        say: called with each note of the reader, for example on rows that it left out.
        announce: called with each line on a download or a ready-made split.

    Returns:
        The short name of the data, and the split.

    Raises:
        DataError: the data cannot be read, features cannot be made of it, or no user has enough
            rows to hold out.
    """
    data, rule = config.data, config.split
    dataset = load_as_set(data.source, data, say, announce)
    with naming(data.source):
        parts = split(dataset.interactions, **rule.model_dump(), given=dataset.parts)
    return dataset.name, parts


def load_split(record: StudyRecord, data: str | None) -> Split:
    """Load the study's data and split it as when the study was made.

    Args:
        record: record of the study.
        data: present name or path of the data; None: as in the record.

    Raises:
        DataError: as `load_data`.
        PromotionError: data or split differ from the study's.
    """
    config = record.config
    config = config.model_copy(update={"data": with_source(config.data, data)})
    _, split = load_data(config, nothing)  # the notes were shown when the study was made
    if split.fingerprint != record.split_fingerprint:
        raise PromotionError(
            f"{config.data.source} is not the data that the study was made on (data and split "
            f"were {record.split_fingerprint}, are {split.fingerprint}); give it with --data"
        )
    return split
