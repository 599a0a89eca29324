"""Snapshots of an interrupted training, each in one safetensors file.

A training resumed from its snapshot gives the same numbers as one that nothing interrupted.

A snapshot is no model to serve (see `recsys.artifacts.checkpoint` for those): it also holds the
optimizer's moments and the state of the random generator.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recsys.config import TrainConfig
from recsys.drafts import replacing
from recsys.errors import CheckpointError
from recsys.evaluation import Metrics
from recsys.training.epoch import EpochResult

KEY = "recsys.snapshot"


def save_snapshot(
    path: Path,
    config: TrainConfig,
    results: Sequence[EpochResult],
    state: Mapping[str, Tensor],
) -> None:
    """Write a snapshot under another name, then move it into place.

    Args:
        path: the snapshot file; its folder is made if missing.
        config: hyperparameters of the training.
        results: all epochs so far.
        state: tensors by name, on any device.

    Raises:
        CheckpointError: the file cannot be written, or there is no epoch to continue from.
    """
    if not results:
        raise CheckpointError(f"{path}: nothing to save before the first epoch")
    epochs = [dataclasses.asdict(result) for result in results]
    facts = json.dumps({"config": config.as_dict(), "epochs": epochs})
    try:
        tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        with replacing(path) as draft:
            save_file(tensors, draft, metadata={KEY: facts})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: the training cannot be parked ({error})") from error


def check_snapshot(path: Path, config: TrainConfig) -> None:
    """Check the header of a snapshot without reading its tensors.

    Args:
        path: the snapshot file.
        config: hyperparameters that the snapshot must have.

    Raises:
        CheckpointError: the file is missing, damaged, or of a training with another config.
    """
    _read(path, config, tensors=False)


def load_snapshot(path: Path, config: TrainConfig) -> tuple[list[EpochResult], dict[str, Tensor]]:
    """Return all epochs so far and the tensors by name that `save_snapshot` wrote.

    Args:
        path: the snapshot file.
        config: hyperparameters that the snapshot must have.

    Raises:
        CheckpointError: the file is missing, damaged, or of a training with another config.
    """
    return _read(path, config, tensors=True)


def _read(
    path: Path, config: TrainConfig, *, tensors: bool
) -> tuple[list[EpochResult], dict[str, Tensor]]:
    """Return the epochs and, if asked to, the tensors of a snapshot.

    Raises:
        CheckpointError: the file is missing, damaged, or of a training with another config.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[KEY])
            names = file.keys() if tensors else ()
            state = {name: file.get_tensor(name) for name in names}
        results = [
            EpochResult(**{**values, "metrics": Metrics(**values["metrics"])})
            for values in facts["epochs"]
        ]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: no readable snapshot of a training ({error})") from error
    if {**TrainConfig().as_dict(), **facts["config"]} != config.as_dict():  # old ones lack names
        raise CheckpointError(f"{path}: belongs to a training with another config")
    return results, state
