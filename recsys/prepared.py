"""A Holdout in one safetensors file, for processes that train: numbers only, no original ids.

Tuning's workers read this file and nothing else, so they cannot see the test rows, and what a
user's id looks like stays with the launcher.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from recsys.errors import CheckpointError
from recsys.interactions import Interactions
from recsys.split import Holdout

_COLUMNS = ("users", "items", "times", "weights")


def save_holdout(path: Path, holdout: Holdout) -> None:
    """Write the file under another name, then move it into place.

    Raises:
        CheckpointError: the disk does not take it.
    """
    columns: dict[str, np.typing.NDArray[Any]] = {}
    for part, interactions in (("seen", holdout.seen), ("relevant", holdout.relevant)):
        for name in _COLUMNS:
            column = getattr(interactions, name)
            if column is not None:
                columns[f"{part}.{name}"] = np.ascontiguousarray(column)
    meta = {
        "n_users": holdout.seen.n_users,
        "n_items": holdout.seen.n_items,
        "repeats": holdout.seen.repeats,
    }
    draft = path.with_name(path.name + ".part")
    try:
        save_file(columns, draft, metadata={"recsys.holdout": json.dumps(meta)})
        draft.replace(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: the training data cannot be written ({error})") from error


def load_holdout(path: Path) -> Holdout:
    """The Holdout that `save_holdout` wrote, with positions instead of ids.

    Raises:
        CheckpointError: the file is missing, damaged or something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {})["recsys.holdout"])
            columns = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: no prepared training data ({error})") from error
    users = tuple(map(str, range(meta["n_users"])))
    items = tuple(map(str, range(meta["n_items"])))
    seen, relevant = (
        Interactions(
            columns[f"{part}.users"],
            columns[f"{part}.items"],
            columns.get(f"{part}.times"),
            columns.get(f"{part}.weights"),
            users,
            items,
            meta["repeats"],
        )
        for part in ("seen", "relevant")
    )
    return Holdout(seen, relevant)
