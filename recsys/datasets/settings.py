"""Loading of a data set as the settings of a command line or of a study file describe it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from recsys.data import Dataset, Filters, Repeats
from recsys.datasets.features import with_features
from recsys.datasets.registry import load_dataset
from recsys.messages import to_stderr
from recsys.readers import Columns


class DataSettings(Protocol):
    """The settings of data beside its name or path; None or an empty value means the default."""

    @property
    def sql(self) -> str | None:
        """Return the query of a database."""

    @property
    def user_col(self) -> str | None:
        """Return the column of users."""

    @property
    def item_col(self) -> str | None:
        """Return the column of items."""

    @property
    def time_col(self) -> str | None:
        """Return the column of times."""

    @property
    def event_col(self) -> str | None:
        """Return the column of event words."""

    @property
    def rating_col(self) -> str | None:
        """Return the column of ratings."""

    @property
    def header(self) -> bool | None:
        """Return False if the first line of text files is data."""

    @property
    def time_format(self) -> str | None:
        """Return the format of times."""

    @property
    def event_weights(self) -> Mapping[str, float] | None:
        """Return the weights of event words."""

    @property
    def repeats(self) -> Repeats | None:
        """Return what becomes of further rows of a user and an item."""

    @property
    def min_rating(self) -> float | None:
        """Return the lowest rating that counts as interest."""

    @property
    def min_user_rows(self) -> int | None:
        """Return the fewest rows of a user."""

    @property
    def min_item_rows(self) -> int | None:
        """Return the fewest rows of an item."""

    @property
    def item_features(self) -> tuple[str, ...] | None:
        """Return the feature columns of the items' table."""

    @property
    def user_features(self) -> tuple[str, ...] | None:
        """Return the feature columns of the users' table."""


def load_as_set(
    source: str,
    settings: DataSettings,
    say: Callable[[str], None],
    announce: Callable[[str], None] = to_stderr,
) -> Dataset:
    """Load a data set with its features.

    Args:
        source: name of a data set, a path, an address, or the URL of a database.
        settings: columns, filters and features.
        say: receives each line on the reading: the columns used, rows left out.
        announce: receives each line on a download or a ready-made split.

    Raises:
        DataError: the data cannot be found, fetched or used, or features cannot be made of it.
    """
    columns = Columns(
        settings.user_col,
        settings.item_col,
        settings.time_col,
        settings.event_col,
        settings.rating_col,
        header=settings.header is not False,
        time_format=settings.time_format,
        event_weights=tuple((settings.event_weights or {}).items()),
    )
    filters = Filters(settings.min_rating, settings.min_user_rows or 1, settings.min_item_rows or 1)
    repeats = settings.repeats or "drop"
    dataset = load_dataset(
        source,
        columns=columns,
        repeats=repeats,
        filters=filters,
        sql=settings.sql,
        announce=announce,
    )
    for line in (dataset.columns, *dataset.notes):
        if line:
            say(line)
    items, users = settings.item_features or (), settings.user_features or ()
    return with_features(dataset, items=items, users=users)
