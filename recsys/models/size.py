"""The size of a model, known before it is trained."""

from __future__ import annotations

import torch

from recsys.config import TrainConfig
from recsys.data.features import FEATURES
from recsys.data.interactions import Interactions
from recsys.models.two_tower import TwoTower

FLOAT32 = 4  # bytes


def model_mb(seen: Interactions, config: TrainConfig) -> float:
    """Return the megabytes of the tensors that `recsys.artifacts.checkpoint.save` writes.

    A megabyte is 10**6 bytes. The tensors are all weights, and the vectors of all users and
    items. Ids, histories and file headers come on top; their size is the same for every config.

    Args:
        seen: the training rows; only the numbers of users, items and feature codes count.
        config: hyperparameters of the model.
    """
    with torch.device("meta"):  # shapes without memory
        model = TwoTower(seen.n_users, seen.n_items, config, ordered=seen.times is not None)
    weights: int = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    # A model stores a vector for each feature code, which is counted here: bags need values, so
    # they cannot be on "meta".
    n_codes = sum(found.n_codes for name in FEATURES if (found := getattr(seen, name)) is not None)
    n_vectors = seen.n_users + seen.n_items + n_codes
    total: int = weights + FLOAT32 * (n_vectors * config.dim + seen.n_items)
    return total / 1e6
