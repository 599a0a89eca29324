"""Data sets by name, path, address or query; demo is generated, ml-100k fetched once and cached.

A name wins over a folder of that name: `ml-100k` is the named data, `./ml-100k` the folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pooch

from recsys.data import NO_FILTERS, Dataset, Filters, Repeats, filtered
from recsys.datasets.database import DATABASES, address_only, queried
from recsys.datasets.demo import demo_dataset
from recsys.datasets.frames import InMemory, naming_tables, write_tables
from recsys.datasets.movielens import ML_100K, Release, fetch, is_complete, normalised
from recsys.datasets.python_words import load_dataset_arguments, noting_arguments
from recsys.datasets.remote import fetched
from recsys.errors import DataError, naming
from recsys.messages import to_stderr
from recsys.readers import (
    AUTO,
    Columns,
    is_remote,
    matching_files,
    read_dataset,
    read_frame,
    short_name,
)

NAMES = ("demo", "ml-100k")
_DATABASE_URLS = "postgresql+psycopg://HOST/DATABASE or sqlite:///FILE"


@noting_arguments(load_dataset_arguments)
def load_dataset(
    name_or_path: str | os.PathLike[str] | InMemory,
    *,
    users: InMemory | None = None,
    items: InMemory | None = None,
    columns: Columns | Mapping[str, Any] = AUTO,
    repeats: Repeats = "drop",
    filters: Filters = NO_FILTERS,
    sql: str | None = None,
    announce: Callable[[str], None] | None = None,
) -> Dataset:
    """Load a named data set, read interactions, or take tables in memory; apply the filters.

    Args:
        name_or_path: one of `NAMES`, a path, an address of files (https://, s3://, ...), or with
            `sql` the URL of a database; or the interactions themselves: a DataFrame of polars or
            pandas, a dict of columns, or (users, items) or (users, items, times).
        users: table of users, only beside a table of interactions.
        items: table of items, only beside a table of interactions.
        columns: overrides, as Columns or as a dict such as {"user": "buyer"}; named data has none.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.
        filters: the lowest rating, and the fewest rows of users and items.
        sql: query of the interactions in a database.
        announce: receives lines for people: the terms and source of a download, the sizes of a
            ready-made split. Lines go to stderr by default.

    Raises:
        DataError: the argument is neither a name nor a path, or the data cannot be fetched or
            used.
    """
    if repeats not in get_args(Repeats):
        raise DataError(f"repeats={repeats!r}: must be 'drop' or 'keep'")
    columns = _as_columns(columns)
    if not isinstance(name_or_path, str | os.PathLike):
        if sql is not None:
            raise DataError("sql goes with the URL of a database, not with a table in memory")
        with tempfile.TemporaryDirectory(prefix="recsys-") as temporary:
            folder = write_tables(Path(temporary), name_or_path, users=users, items=items)
            with naming_tables(folder):
                found = load_dataset(folder, columns=columns, repeats=repeats, filters=filters)
        return replace(found, name="data")
    if users is not None or items is not None:
        raise DataError(
            f"{name_or_path}: users and items go with a table of interactions; a folder has them "
            "as users.* and items.*"
        )
    name_or_path = os.fspath(name_or_path)
    announce = announce or to_stderr
    if columns.rating is not None and filters.min_rating is None:
        raise DataError(
            f"--rating-col {columns.rating} has no effect without a lowest rating; add "
            "--min-rating, for instance --min-rating 4"
        )
    how = (columns, repeats, filters.min_rating)
    if sql is not None:
        dataset = _of_query(name_or_path, sql, *how)
    elif is_remote(name_or_path):
        dataset = _of_address(name_or_path, *how, announce)
    else:
        dataset = _found(name_or_path, *how, announce)
    with naming(address_only(name_or_path) if is_remote(name_or_path) else name_or_path):
        dataset = filtered(dataset, filters)
    if dataset.ready_made:
        announce(dataset.ready_made.describe(dataset.interactions))
    return dataset


def _as_columns(columns: Columns | Mapping[str, Any]) -> Columns:
    """Return overrides of columns as Columns.

    Raises:
        DataError: there is no role of such a name.
    """
    if isinstance(columns, Columns):
        return columns
    roles = [field.name for field in fields(Columns)]
    if wrong := [name for name in columns if name not in roles]:
        raise DataError(f"columns: no such role: {', '.join(wrong)}; roles are {', '.join(roles)}")
    return Columns(**columns)


def _found(
    name_or_path: str,
    columns: Columns,
    repeats: Repeats,
    min_rating: float | None,
    announce: Callable[[str], None],
) -> Dataset:
    """Return the data set with all rows of sufficient rating.

    Raises:
        DataError: as `load_dataset`.
    """
    if name_or_path not in NAMES:
        path = Path(name_or_path)
        if not path.exists() and path.name == name_or_path and not matching_files(path):
            raise DataError(
                f"{name_or_path!r} is neither a data set ({', '.join(NAMES)}) nor a file or "
                f"folder in {Path.cwd()}; give one of these names or a path"
            )
        return read_dataset(path, columns, repeats, min_rating)
    if columns != AUTO:
        raise DataError(
            f"{name_or_path}: has its own columns; leave --user-col, --item-col, --time-col and "
            "the other options on columns out, or give a path"
        )
    if name_or_path == "demo":
        if min_rating is not None:
            raise DataError("demo: has no ratings; leave --min-rating out")
        return demo_dataset(repeats=repeats)
    return load_ml_100k(cache_folder(), repeats, announce, min_rating=min_rating)


def _of_query(
    url: str, sql: str, columns: Columns, repeats: Repeats, min_rating: float | None
) -> Dataset:
    """Return the data set that a query to a database returns.

    Raises:
        DataError: as `load_dataset`.
    """
    if not is_remote(url):
        raise DataError(
            f"--sql needs --data with the URL of a database ({_DATABASE_URLS}); it is {url!r}"
        )
    frame = queried(url, sql)
    dataset = read_frame(frame, address_only(url), columns, repeats, min_rating)
    return replace(dataset, name=short_name(url))


def _of_address(
    url: str,
    columns: Columns,
    repeats: Repeats,
    min_rating: float | None,
    announce: Callable[[str], None],
) -> Dataset:
    """Return the data set at an address.

    Raises:
        DataError: as `load_dataset`.
    """
    if url.partition(":")[0].partition("+")[0] in DATABASES:
        query = "--sql 'SELECT user_id, item_id, created_at FROM orders'"
        raise DataError(f"{address_only(url)}: a database needs a query, such as {query}")
    with fetched(url, announce) as path:
        return read_dataset(path, columns, repeats, min_rating)


def load_ml_100k(
    cache: Path,
    repeats: Repeats,
    announce: Callable[[str], None],
    release: Release = ML_100K,
    min_rating: float | None = None,
) -> Dataset:
    """Load MovieLens-100K from the cache, and fetch it first if the cache lacks it.

    Args:
        cache: folder of all cached data sets.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.
        announce: receives lines for people about a download.
        release: sources and checksums.
        min_rating: lowest rating that counts as interest; None if ratings do not count.

    Raises:
        DataError: the data is not in the cache and no source can be reached, or a cached table
            is gone.
    """
    folder = cache / "ml-100k"
    if not is_complete(folder, release):
        fetch(folder, announce, release)
    raw = read_dataset(folder, AUTO, repeats, min_rating)
    if raw.user_table is None or raw.item_table is None:
        raise DataError(f"{folder}: ml-100k.user or ml-100k.item is gone; delete the folder")
    users, items = normalised(raw.user_table, raw.item_table)
    return replace(raw, name="ml-100k", user_table=users, item_table=items)


def cache_folder() -> Path:
    """Return the folder of fetched data: $RECSYS_CACHE, else the system's cache folder."""
    return Path(os.environ.get("RECSYS_CACHE") or pooch.os_cache("recsys-hpo"))
