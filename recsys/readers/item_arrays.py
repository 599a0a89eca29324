"""Arrays that describe items, such as embeddings of texts, in NumPy's files.

np.savez("shop/items.npz", item_id=ids, embedding=vectors)
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import polars as pl

from recsys.readers.ids import NO_ID

ITEM_ID = "item_id"
_CURE = f"save it with numpy.savez('items.npz', {ITEM_ID}=ids, embedding=vectors)"


def with_item_arrays(
    table: pl.DataFrame | None, path: Path, problems: list[str]
) -> pl.DataFrame | None:
    """Return the item table with the arrays of its items beside its columns.

    Args:
        table: the item table; None if there is none.
        path: an .npz file with the array `item_id` (n,) and others, (n,) or (n, w).
        problems: list that receives a line for each problem found.

    Returns:
        The table, with a column for each array, of lists if the array has two axes. As it was, and
        at least one problem, if the file is unusable.
    """
    arrays = _read(path, problems)
    if arrays is None:
        return table
    if table is None:
        return arrays
    if twice := sorted(set(table.columns) & set(arrays.columns) - {ITEM_ID}):
        problems.append(
            f"{path}: {', '.join(twice)} is in the item table, too; give the arrays other names"
        )
        return table
    return table.join(arrays, on=ITEM_ID, how="full", coalesce=True, maintain_order="left_right")


def _read(path: Path, problems: list[str]) -> pl.DataFrame | None:
    """Return the arrays as a frame with `item_id` (text, unique) first; None, and a problem."""
    arrays = _loaded(path, problems)
    if arrays is None:
        return None
    ids = arrays.pop(ITEM_ID, None)
    if ids is None or ids.ndim != 1 or ids.dtype.kind not in "iuU":
        problems.append(f"{path}: no array {ITEM_ID} of texts or whole numbers; {_CURE}")
        return None
    if not arrays:
        problems.append(f"{path}: holds no array beside {ITEM_ID}; {_CURE}")
    found = pl.Series(ITEM_ID, ids.astype(np.str_)).str.strip_chars()
    if found.str.to_lowercase().is_in(list(NO_ID)).any() or found.is_duplicated().any():
        problems.append(f"{path}: {ITEM_ID} has empty or repeated ids; keep one row per item")
    before = len(problems)
    for name, values in arrays.items():
        if values.ndim not in (1, 2) or len(values) != len(ids) or values.dtype.kind not in "biufU":
            problems.append(
                f"{path}: array {name!r} has shape {values.shape} and type {values.dtype}; give "
                f"numbers or texts with {len(ids):,} rows, as {ITEM_ID} has, and at most two axes"
            )
    if len(problems) > before or not arrays:
        return None
    return pl.DataFrame([found, *(_series(name, values) for name, values in arrays.items())])


def _series(name: str, values: np.ndarray) -> pl.Series:
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:  # polars panics on long doubles
        values = values.astype(np.float64)
    return pl.Series(name, values)


def _loaded(path: Path, problems: list[str]) -> dict[str, np.ndarray] | None:
    """Return the arrays of a file by name; None, and a problem, if one would be unpickled."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        problems.append(f"{path}: cannot be read ({error}); {_CURE}")
        return None
