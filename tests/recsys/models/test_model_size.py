"""The size of a model is known before it is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from recsys.artifacts.checkpoint import save
from recsys.config import TrainConfig
from recsys.models.size import model_mb
from recsys.models.two_tower import new_model
from tests.support.examples import conveyor, with_groups


def written_mb(folder: Path) -> float:
    """Tensors in a stored model's weights and vectors, without the headers of the files."""
    with safe_open(folder / "weights.safetensors", "pt") as weights:
        sizes = [weights.get_tensor(name).nbytes for name in weights.keys()]  # noqa: SIM118
    sizes += [np.load(path).nbytes for path in folder.glob("*.npy")]
    return sum(sizes) / 1e6


@pytest.mark.parametrize("user_weight", [0.0, 0.5])
@pytest.mark.parametrize("neighbour_weight", [0.0, 3.0])
@pytest.mark.parametrize("timed", [True, False])
def test_it_is_exactly_what_a_checkpoint_writes(
    tmp_path: Path, user_weight: float, neighbour_weight: float, timed: bool
) -> None:
    data = conveyor() if timed else replace(conveyor(), times=None)
    config = TrainConfig(dim=12, user_weight=user_weight, neighbour_weight=neighbour_weight)
    model = new_model(data, config, torch.device("cpu"))
    model.initialize(torch.Generator().manual_seed(0))
    save(tmp_path, model, data, {})
    assert model_mb(data, config) == pytest.approx(written_mb(tmp_path), abs=1e-12)


def test_side_features_count(tmp_path: Path) -> None:
    plain, rich = conveyor(), with_groups(conveyor())
    config = TrainConfig(dim=12)
    model = new_model(rich, config, torch.device("cpu"))
    model.initialize(torch.Generator().manual_seed(0))
    save(tmp_path, model, rich, {})
    assert model_mb(rich, config) == pytest.approx(written_mb(tmp_path), abs=1e-12)
    assert model_mb(rich, config) > model_mb(plain, config)
