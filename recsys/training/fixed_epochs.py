"""Training for a fixed number of epochs: no early stop, so no luck in the choice of the epoch."""

from __future__ import annotations

import torch

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.models.two_tower import TwoTower
from recsys.training.resources import useful_threads
from recsys.training.trainer import Trainer


def train(seen: Interactions, config: TrainConfig, epochs: int, device: torch.device) -> TwoTower:
    """Return a model trained on `seen` for exactly `epochs` epochs.

    Args:
        seen: the interactions to learn from.
        config: hyperparameters; its `epochs` and `patience` are ignored.
        epochs: passes over all users.
        device: device of the training.

    Raises:
        DivergedError: the loss is not finite.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(useful_threads(seen.n_items, config, before))
    try:
        trainer = Trainer(seen, config, device)
        for _ in range(epochs):
            trainer.train_epoch()
        return trainer.model
    finally:
        torch.set_num_threads(before)
