"""A Holdout in one safetensors file, for processes that train: numbers only, no original ids.

The workers of a tuning read this file and nothing else, so they cannot see the test rows, and the
text of user ids stays with the launcher.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from recsys.data.features import FEATURES, Features
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout
from recsys.drafts import replacing
from recsys.errors import CheckpointError

_COLUMNS = ("users", "items", "times", "weights")


class Numbers(Sequence[str]):
    """The ids "0", "1", ... in place of a vocabulary stored elsewhere, computed on access."""

    def __init__(self, size: int) -> None:
        self._range = range(size)

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        found = self._range[index]
        return tuple(map(str, found)) if isinstance(found, range) else str(found)


def save_holdout(path: Path, holdout: Holdout) -> None:
    """Write a holdout to a draft file, then move the draft into place.

    Args:
        path: the file; the draft is `path` with ".part" appended.
        holdout: the rows to write, without their ids.

    Raises:
        CheckpointError: the disk refuses the file.
    """
    columns: dict[str, np.typing.NDArray[Any]] = {}
    for part, interactions in (("seen", holdout.seen), ("relevant", holdout.relevant)):
        for name in _COLUMNS:
            column = getattr(interactions, name)
            if column is not None:
                columns[f"{part}.{name}"] = np.ascontiguousarray(column)
    meta: dict[str, Any] = {
        "n_users": holdout.seen.n_users,
        "n_items": holdout.seen.n_items,
        "repeats": holdout.seen.repeats,
    }
    for name in FEATURES:
        features: Features | None = getattr(holdout.seen, name)
        if features is not None:
            columns |= features.to_columns(name)
            meta[name] = features.facts()
    try:
        with replacing(path) as draft:
            save_file(columns, draft, metadata={"recsys.holdout": json.dumps(meta)})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: the training data cannot be written ({error})") from error


def load_holdout(path: Path) -> Holdout:
    """Return the Holdout that `save_holdout` wrote, with positions instead of ids.

    The columns are the file itself, mapped into memory: processes that read the file share one
    copy, and the system reads only the pages that are used.

    Args:
        path: the file.

    Raises:
        CheckpointError: the file is missing, damaged or no such file.
    """
    try:
        with safe_open(path, framework="pt") as file:  # "numpy" would copy
            meta = json.loads((file.metadata() or {})["recsys.holdout"])
            columns = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118
        features = {
            name: Features.from_columns(name, columns, meta[name])
            for name in FEATURES
            if name in meta
        }
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: no prepared training data ({error})") from error
    users, items = Numbers(meta["n_users"]), Numbers(meta["n_items"])
    seen, relevant = (
        Interactions(
            columns[f"{part}.users"],
            columns[f"{part}.items"],
            columns.get(f"{part}.times"),
            columns.get(f"{part}.weights"),
            users,
            items,
            meta["repeats"],
            **features,
        )
        for part in ("seen", "relevant")
    )
    return Holdout(seen, relevant)
