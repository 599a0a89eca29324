"""The towers where something is missing."""

from __future__ import annotations

import torch

from recsys.config import TrainConfig
from recsys.models.history import histories
from recsys.models.two_tower import TwoTower


def test_a_user_whose_whole_history_is_dropped_moves_nothing() -> None:
    model = TwoTower(2, 5, TrainConfig(dim=4, user_weight=0.5), ordered=True)
    model.initialize(torch.Generator().manual_seed(0))
    history, _ = histories(torch.tensor([1, 2, 3]), torch.tensor([0, 1]), torch.tensor([1, 2]))
    vectors = model.user_vectors(torch.tensor([0, 1]), history, torch.tensor([0.0, 1.0, 1.0]))
    vectors[:, 0].sum().backward()
    assert not vectors[0].any()
    assert model.users is not None
    assert not model.users.grad[0].any()  # dividing by its length would give 1e12
    assert 0 < model.users.grad[1].abs().max() < 100
