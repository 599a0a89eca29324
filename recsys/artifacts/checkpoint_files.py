"""Files of a stored model, each with a function that writes it and one that reads and checks it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from recsys.data import FEATURES, Features, Interactions, Repeats
from recsys.errors import CheckpointError
from recsys.retrieval import ItemIndex

FORMAT = 1
META = "model_meta.json"
WEIGHTS = "weights.safetensors"
HISTORY = "history.safetensors"
MEASURED = "measured.safetensors"
INDEX = "index.safetensors"
CURE = "train it again: python -m recsys.train --artifacts DIR"


_ROWS = {"items", "times", "weights"}


def read_meta(folder: Path) -> dict[str, Any]:
    """Return model_meta.json after checking that all files it lists are there and whole.

    Raises:
        CheckpointError: model_meta.json or a listed file is missing, damaged or of another version.
    """
    path = folder / META
    try:
        meta: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not there, so this is no stored model; {CURE}") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); {CURE}") from None
    version = meta.get("format") if isinstance(meta, dict) else None
    if version != FORMAT:
        raise CheckpointError(
            f"{path}: format {version!r}, this version of recsys reads {FORMAT}; {CURE}"
        )
    files = meta.get("files")
    if not isinstance(files, dict) or not {WEIGHTS, HISTORY} <= set(files):
        raise CheckpointError(f"{path}: damaged (its list of files is not complete); {CURE}")
    if problem := next(_wrong_facts(meta), ""):
        raise CheckpointError(f"{path}: damaged ({problem}); {CURE}")
    for name, digest in files.items():
        _verify(folder, name, digest)
    return meta


def _wrong_facts(meta: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the facts of model_meta.json that `load` relies on."""
    for key in ("config", *(["index"] if INDEX in meta["files"] else [])):
        if not isinstance(meta.get(key), dict):
            yield f"{key} is no table"
    for number, key in (("n_users", "user_ids"), ("n_items", "item_ids")):
        ids = meta.get(key)
        if not (isinstance(ids, list) and all(isinstance(one, str) for one in ids)):
            yield f"{key} is no list of texts"
        elif len(set(ids)) < len(ids):
            yield f"{key} has an id twice"
        elif meta.get(number, len(ids)) != len(ids):
            yield f"{number} is {meta[number]!r}, and {key} has {len(ids)}"
    if meta.get("repeats") not in get_args(Repeats):
        yield f"repeats is {meta.get('repeats')!r}"
    for name in FEATURES:
        if not isinstance(meta.get(name, {}), dict | None):
            yield f"{name} is no table"


def _verify(folder: Path, name: str, digest: str) -> None:
    """Check that a listed file lies in the folder and has the listed digest.

    Raises:
        CheckpointError: it does not.
    """
    path = folder / name
    if Path(name).name != name:
        raise CheckpointError(f"{folder / META}: names a file elsewhere: {name!r}; {CURE}")
    if not path.is_file():
        raise CheckpointError(f"{path}: not there; {CURE}")
    if sha256(path) != digest:
        raise CheckpointError(f"{path}: damaged, or of another training than {META}; {CURE}")


def sha256(path: Path) -> str:
    """Return the sha256 of one file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_history(path: Path, history: Interactions) -> None:
    """Write the history's items and offsets, and its times, weights and features if any.

    Args:
        path: the file to write.
        history: the histories of all users.
    """
    columns: dict[str, npt.NDArray[Any]] = {"items": history.items, "offsets": history.offsets}
    optional = {"times": history.times, "weights": history.weights}
    columns |= {name: column for name, column in optional.items() if column is not None}
    for name in FEATURES:
        features: Features | None = getattr(history, name)
        columns |= {} if features is None else features.to_columns(name)
    save_file({name: np.ascontiguousarray(column) for name, column in columns.items()}, path)


def read_history(path: Path, meta: Mapping[str, Any]) -> Interactions:
    """Return the history that `write_history` wrote, with the ids of `meta`.

    Args:
        path: the file to read.
        meta: all of model_meta.json.

    Raises:
        KeyError: a column is missing.
        ValueError: the columns contradict each other or the ids.
    """
    columns = load_file(path)
    items, offsets = columns["items"], columns["offsets"]
    lengths = np.diff(offsets)
    if (
        len(offsets) != len(meta["user_ids"]) + 1
        or offsets[0] != 0
        or (lengths < 0).any()
        or {len(columns[name]) for name in _ROWS & columns.keys()} != {offsets[-1]}
    ):
        raise ValueError(f"{path.name}: its columns do not make {len(meta['user_ids'])} histories")
    if len(items) and not 0 <= items.min() <= items.max() < len(meta["item_ids"]):
        raise ValueError(f"{path.name}: items outside the catalogue")
    features = {
        name: Features.from_columns(name, columns, meta[name])
        for name in FEATURES
        if meta.get(name) is not None
    }
    return Interactions(
        users=np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
        items=items,
        times=columns.get("times"),
        weights=columns.get("weights"),
        user_ids=tuple(meta["user_ids"]),
        item_ids=tuple(meta["item_ids"]),
        repeats=meta["repeats"],
        **features,
    )


def write_index(path: Path, index: ItemIndex) -> None:
    """Write the arrays of an index; its other facts belong in model_meta.json.

    Args:
        path: the file to write.
        index: index of the model's items.
    """
    columns = index.to_columns()
    save_file({name: np.ascontiguousarray(column) for name, column in columns.items()}, path)


def read_index(path: Path, meta: Mapping[str, Any]) -> ItemIndex:
    """Return the index that `write_index` wrote, with the facts of `meta`.

    Args:
        path: the file to read.
        meta: all of model_meta.json.

    Raises:
        KeyError: an array or a fact is missing.
        ValueError: the file is no index of this model's items.
    """
    shape = len(meta["item_ids"]), meta["config"]["dim"]
    return ItemIndex.from_columns(load_file(path), meta["index"], shape)
