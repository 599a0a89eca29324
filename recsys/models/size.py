"""The size of a model, known before it is trained."""

from __future__ import annotations

import torch

from recsys.config import TrainConfig
from recsys.data import FEATURES, Interactions
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
    # A model stores the embeddings of features, which are counted here: bags need values, so they
    # cannot be on "meta".
    features = (getattr(seen, name) for name in FEATURES)
    n_embeddings = sum(found.n_embeddings for found in features if found is not None)
    n_vectors = seen.n_users + seen.n_items + n_embeddings
    total: int = weights + FLOAT32 * (n_vectors * config.dim + seen.n_items)
    return total / 1e6
