"""A training that was put aside, in one safetensors file: it goes on as if nothing had happened.

Not a model to serve (that is `recsys.artifacts.checkpoint`): it holds the optimizer's moments and
the state of the random draws as well.
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
from recsys.evaluation.metrics import Metrics
from recsys.training.epoch import EpochResult

KEY = "recsys.snapshot"


def save_snapshot(
    path: Path,
    config: TrainConfig,
    results: Sequence[EpochResult],
    state: Mapping[str, Tensor],
) -> None:
    """Write the file under another name, then move it into place.

    Args:
        results: all epochs so far.
        state: names and tensors, on any device.

    Raises:
        CheckpointError: the disk does not take it, or there is no epoch to go on from.
    """
    if not results:
        raise CheckpointError(f"{path}: nothing to put aside before the first epoch")
    epochs = [dataclasses.asdict(result) for result in results]
    facts = json.dumps({"config": config.as_dict(), "epochs": epochs})
    try:
        tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        with replacing(path) as draft:
            save_file(tensors, draft, metadata={KEY: facts})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: the training cannot be put aside ({error})") from error


def check_snapshot(path: Path, config: TrainConfig) -> None:
    """Raise what `load_snapshot` would, from the head of the file alone."""
    _read(path, config, tensors=False)


def load_snapshot(path: Path, config: TrainConfig) -> tuple[list[EpochResult], dict[str, Tensor]]:
    """All epochs so far and the state that `save_snapshot` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, or of a training with another config.
    """
    return _read(path, config, tensors=True)


def _read(
    path: Path, config: TrainConfig, *, tensors: bool
) -> tuple[list[EpochResult], dict[str, Tensor]]:
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
        raise CheckpointError(f"{path}: no training that was put aside ({error})") from error
    if facts["config"] != config.as_dict():
        raise CheckpointError(f"{path}: is of a training with another config")
    return results, state
