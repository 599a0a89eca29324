"""How large a model will be, known before it is trained."""

from __future__ import annotations

import torch

from recsys.config import TrainConfig
from recsys.interactions import Interactions
from recsys.trainer import new_model

FLOAT32 = 4  # bytes


def model_mb(seen: Interactions, config: TrainConfig) -> float:
    """Size of the tensors that `recsys.checkpoint.save` writes, in millions of bytes.

    That is all weights, and the vectors of all users and items. Ids, histories and file headers
    come on top; they are the same for every config.

    Args:
        seen: what the model trains on; only its sizes and its features' sizes count.
    """
    with torch.device("meta"):  # shapes without memory
        model = new_model(seen, config, torch.device("meta"))
    weights: int = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    vectors = (seen.n_users + seen.n_items) * config.dim + seen.n_items
    return (weights + FLOAT32 * vectors) / 1e6
