"""Training for a fixed number of epochs: no early stop, so no luck in the choice of the epoch."""

from __future__ import annotations

import torch

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.models.two_tower import TwoTower
from recsys.training.resources import useful_threads
from recsys.training.trainer import Trainer


def train(
    seen: Interactions,
    config: TrainConfig,
    epochs: int,
    device: torch.device,
    threads: int | None = None,
) -> TwoTower:
    """Return a model that has learned from `seen` for exactly `epochs` epochs.

    Args:
        seen: interactions to learn from.
        config: hyperparameters; `epochs` and `patience` of it do not count here.
        epochs: passes over the data.
        device: device of the model.
        threads: threads of torch; their number is part of the result, since it orders the sums.
            None: as many as the model's size is worth.

    Raises:
        DivergedError: the loss is not finite.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or useful_threads(seen.n_items, config, before))
    try:
        trainer = Trainer(seen, config, device)
        for _ in range(epochs):
            trainer.train_epoch()
        return trainer.model
    finally:
        torch.set_num_threads(before)
