"""Data sets by name: demo (generated locally) and ml-100k (fetched once, then cached).

A name wins over a folder of that name: `ml-100k` is the named data, `./ml-100k` the folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pooch

from recsys.data.dataset import Dataset
from recsys.data.interactions import Repeats
from recsys.datasets.demo import demo_dataset
from recsys.datasets.movielens import ML_100K, Release, fetch, is_complete, normalised
from recsys.errors import DataError
from recsys.readers.columns import AUTO, Columns
from recsys.readers.reader import read_dataset

NAMES = ("demo", "ml-100k")


def load_dataset(
    name_or_path: str,
    *,
    columns: Columns = AUTO,
    repeats: Repeats = "drop",
    announce: Callable[[str], None] | None = None,
) -> Dataset:
    """Load a named data set, or read a folder or file.

    Args:
        name_or_path: one of `NAMES`, else a path.
        columns: overrides for a path; named data has none.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.
        announce: receives lines for people: the terms and source of a download, the sizes of a
            ready-made split. Lines go to stderr by default.

    Raises:
        DataError: the argument is neither a name nor a path, or the data cannot be fetched or
            used.
    """
    if repeats not in get_args(Repeats):
        raise DataError(f"repeats={repeats!r}: must be 'drop' or 'keep'")
    if name_or_path not in NAMES:
        path = Path(name_or_path)
        if not path.exists() and path.name == name_or_path:
            raise DataError(
                f"{name_or_path!r} is neither a data set ({', '.join(NAMES)}) nor a file or "
                f"folder in {Path.cwd()}; give one of these names or a path"
            )
        dataset = read_dataset(path, columns, repeats)
        if dataset.ready_made:
            (announce or _to_stderr)(dataset.ready_made.describe(dataset.interactions))
        return dataset
    if columns != AUTO:
        raise DataError(
            f"{name_or_path}: has its own columns; leave --user-col, --item-col and --time-col "
            "out, or give a path"
        )
    if name_or_path == "demo":
        return demo_dataset(repeats=repeats)
    return load_ml_100k(cache_folder(), repeats, announce or _to_stderr)


def load_ml_100k(
    cache: Path,
    repeats: Repeats,
    announce: Callable[[str], None],
    release: Release = ML_100K,
) -> Dataset:
    """Load MovieLens-100K from the cache, and fetch it first if the cache lacks it.

    Args:
        cache: folder of all cached data sets.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.
        announce: receives lines for people about a download.
        release: sources and checksums.

    Raises:
        DataError: the data is not in the cache and no source can be reached, or a cached table
            is gone.
    """
    folder = cache / "ml-100k"
    if not is_complete(folder, release):
        fetch(folder, announce, release)
    raw = read_dataset(folder, AUTO, repeats)
    if raw.user_table is None or raw.item_table is None:
        raise DataError(f"{folder}: ml-100k.user or ml-100k.item is gone; delete the folder")
    return Dataset("ml-100k", raw.interactions, *normalised(raw.user_table, raw.item_table))


def cache_folder() -> Path:
    """Return the folder of fetched data: $RECSYS_CACHE, else the system's cache folder."""
    return Path(os.environ.get("RECSYS_CACHE") or pooch.os_cache("recsys-hpo"))


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
