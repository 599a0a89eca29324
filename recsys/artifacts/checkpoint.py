"""A trained model as a folder: safetensors, JSON and .npy, none of which can run code.

    model_meta.json         format, config, ids, sizes, origin, sha256 of the other files
    weights.safetensors     the model's state_dict
    history.safetensors     items of each user: the towers encode them, answers leave them out
    measured.safetensors    only in promoted models: the history behind the stated test figures
    index.safetensors       only in large promoted models: the arrays of `recsys.retrieval.index`,
                            whose facts are in model_meta.json
    user_vecs.npy           (n_users, dim) float32, encoded from history.safetensors
    item_vecs.npy           (n_items, dim) float32
    item_bias.npy           (n_items,) float32

score = user_vecs[u] @ item_vecs[i] + item_bias[i]; row u is user_ids[u], row i is item_ids[i].
With config.neighbour_weight > 0 the score also has a sparse part (see `recsys.models.neighbours`),
and the weights hold neighbours.items and neighbours.nearness.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from recsys.artifacts.checkpoint_files import (
    CURE,
    FORMAT,
    HISTORY,
    INDEX,
    MEASURED,
    META,
    WEIGHTS,
    read_history,
    read_index,
    read_meta,
    sha256,
    write_history,
    write_index,
)
from recsys.cli import usable_device
from recsys.config import TrainConfig
from recsys.data import FEATURES, Interactions, Split
from recsys.errors import CheckpointError, ConfigError
from recsys.evaluation import encode_users
from recsys.models import TwoTower, new_model
from recsys.retrieval import ItemIndex, Recommender, with_index
from recsys.training import is_out_of_memory

SCORE = "user_vecs[u] @ item_vecs[i] + item_bias[i]"
BEFORE = {"neighbour_weight": 0.0}  # values in models older than the hyperparameter
UNFIT = (  # errors of reading what another version wrote, or a hand has changed
    *(AttributeError, ConfigError, KeyError, RuntimeError),
    *(SafetensorError, TypeError, ValueError),
)
NEIGHBOURS = " + neighbour_weight * sum of what u's newest items say for i, see recsys.neighbours"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A stored model, read back.

    Attributes:
        model: ready to answer; no optimizer.
        history: the history that serving encodes and leaves out of answers.
        measured: the history behind the stated figures; `history` itself unless promoted.
        meta: all of model_meta.json.
        index: finds answers without scoring all items; None if the model has no index.
    """

    model: TwoTower
    history: Interactions
    measured: Interactions
    meta: Mapping[str, Any]
    index: ItemIndex | None = None

    def recommender(self, *, as_measured: bool = False, exact: bool = False) -> Recommender:
        """Return a recommender of this model, with the index stored with it, if any.

        Args:
            as_measured: True: answer exactly, from the history behind the stated figures; False:
                from all data.
            exact: True: score all items, even if there is an index.
        """
        recommender = Recommender(self.model, self.measured if as_measured else self.history)
        if self.index is None or as_measured or exact:
            return recommender
        return with_index(recommender, self.index)


def origin(data_name: str, split: Split) -> dict[str, Any]:
    """Return the data and the split that a model comes from, for `save`.

    Args:
        data_name: name of the data set.
        split: the split whose parts trained and measured the model.

    Returns:
        Plain JSON values under "data" and "split".
    """
    data = {"name": data_name, "fingerprint": split.interactions.fingerprint}
    how: dict[str, Any] = {"method": split.method, "fraction": split.fraction, "seed": split.seed}
    how |= {"eval_users": split.eval_users, "fingerprint": split.fingerprint}
    return {"data": data, "split": how}


def make_folder(folder: Path) -> None:
    """Make the folder and prove that it is writable before a training is spent on it.

    Raises:
        CheckpointError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be written ({error.strerror}); give another --artifacts"
        ) from None


def save(
    folder: Path | str,
    model: TwoTower,
    history: Interactions,
    about: Mapping[str, Any] = MappingProxyType({}),
    *,
    measured: Interactions | None = None,
    index: ItemIndex | None = None,
) -> None:
    """Write a model; other files in the folder stay as they are.

    All files are written elsewhere first and then moved, model_meta.json last: a kill in between
    leaves a folder that `load` refuses, never a mixture of two models.

    Args:
        folder: made if missing.
        model: trained.
        history: the history that serving encodes and leaves out of answers.
        about: `origin(...)`, metrics and other facts to keep; plain JSON values.
        measured: the history behind the metrics, if it is not `history`.
        index: index of the model's items, if there is one.

    Raises:
        CheckpointError: the folder cannot be written, or the disk is full.
    """
    folder = Path(folder)
    make_folder(folder)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
            draft = Path(temporary)
            _write_model(draft, model, history)
            write_history(draft / HISTORY, history)
            if measured is not None:
                write_history(draft / MEASURED, measured)
            if index is not None:
                write_index(draft / INDEX, index)
                about = {**about, "index": index.as_dict()}
            files = {path.name: sha256(path) for path in sorted(draft.iterdir())}
            meta = {**_model_facts(model, history), **about, "files": files}
            (draft / META).write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")
            for name in [*files, META]:
                shutil.copymode(draft / META, draft / name)  # safetensors writes 0600
                (draft / name).replace(folder / name)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot be written ({error})") from error


def load(folder: Path | str, device: torch.device | None = None) -> Checkpoint:
    """Return a model as `save` wrote it, bit for bit.

    Args:
        folder: folder that `save` wrote.
        device: device of the model (default: the CPU).

    Raises:
        CheckpointError: a file is missing, damaged or of another version; the message names it
            and says what to do.
        ConfigError: the device is not there or does not work.
        RuntimeError: memory ran out.
    """
    folder = Path(folder)
    if device is not None:
        usable_device(str(device))
    meta = read_meta(folder)
    try:
        history = read_history(folder / HISTORY, meta)
        measured = history
        if MEASURED in meta["files"]:
            measured = read_history(folder / MEASURED, meta)
        index = read_index(folder / INDEX, meta) if INDEX in meta["files"] else None
        config = TrainConfig.from_dict({**BEFORE, **meta["config"]})
        model = new_model(history, config, device or torch.device("cpu"))
        weights = load_file(folder / WEIGHTS)
        if "neighbours.items" not in weights:
            model.neighbours = None  # older models of large untimed data have none
        model.load_state_dict(weights)
    except UNFIT as error:
        if is_out_of_memory(error):
            raise
        raise CheckpointError(
            f"{folder}: does not fit this version of recsys ({error}); {CURE}"
        ) from error
    return Checkpoint(model, history, measured, meta, index)


def stored_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of the model in `folder`, by name, without other files."""
    names = [*read_meta(folder)["files"], META]
    return {name: sha256(folder / name) for name in sorted(names)}


def _model_facts(model: TwoTower, history: Interactions) -> dict[str, Any]:
    """Return the facts of model_meta.json that follow from model and history."""
    return {
        "format": FORMAT,
        "config": model.config.as_dict(),
        "ordered": model.ordered,
        "repeats": history.repeats,
        "n_users": history.n_users,
        "n_items": history.n_items,
        **{
            name: features.facts()
            for name in FEATURES
            if (features := getattr(history, name)) is not None
        },
        "user_ids": history.user_ids,
        "item_ids": history.item_ids,
        "score": SCORE + (NEIGHBOURS if model.neighbours is not None else ""),
    }


def _write_model(draft: Path, model: TwoTower, history: Interactions) -> None:
    """Write the weights and, for other programs, the vectors as .npy."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(state, draft / WEIGHTS)
    vectors = {
        "user_vecs": encode_users(model, history),
        "item_vecs": model.item_vectors(),
        "item_bias": model.bias,
    }
    for name, tensor in vectors.items():
        np.save(draft / f"{name}.npy", tensor.detach().cpu().numpy(), allow_pickle=False)
