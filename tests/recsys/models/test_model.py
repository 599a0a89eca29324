"""The towers where something is missing."""

from __future__ import annotations

import pytest
import torch

from recsys.config import TrainConfig
from recsys.models.history import histories
from recsys.models.pooling import ByItem, Pooling, pool_weights
from recsys.models.two_tower import TwoTower


def test_a_user_whose_whole_history_is_dropped_moves_nothing() -> None:
    model = TwoTower(2, 5, TrainConfig(dim=4, user_weight=0.5), ordered=True)
    model.initialize(torch.Generator().manual_seed(0))
    history = histories(torch.tensor([1, 2, 3]), torch.tensor([0, 1]), torch.tensor([1, 2]))
    keep = torch.tensor([0.0, 1.0, 1.0])
    recent, whole = pool_weights(history, model.config, ordered=True, keep=keep)
    by_item = ByItem(history.owner, torch.tensor([0, 0, 1, 2, 3]), recent, whole)
    pooling = Pooling(history.items, history.starts, recent, whole, by_item)
    vectors = model.towers().user_vectors(torch.tensor([0, 1]), pooling, history.lengths)
    vectors[:, 0].sum().backward()
    assert not vectors[0].any()
    assert model.users is not None
    assert not model.users.grad[0].any()  # dividing by its length would give 1e12
    assert 0 < model.users.grad[1].abs().max() < 100


@pytest.mark.parametrize("ordered", [True, False])
def test_gradients_of_the_pools_equal_those_without_a_prepared_transpose(ordered: bool) -> None:
    model = TwoTower(3, 5, TrainConfig(dim=4), ordered=ordered)
    model.initialize(torch.Generator().manual_seed(0))
    items, lengths = torch.tensor([4, 0, 4, 2, 0, 4]), torch.tensor([3, 1, 2])
    history = histories(items, torch.tensor([0, 3, 4]), lengths)
    recent, whole = pool_weights(history, model.config, ordered=ordered)
    order, counts = items.argsort(), items.bincount(minlength=5)
    by_item = ByItem(history.owner[order], counts.cumsum(0) - counts, recent[order], whole[order])
    found = []
    for transpose in (None, by_item):
        pooling = Pooling(items, history.starts, recent, whole, transpose)
        model.zero_grad()
        model.towers().user_vectors(None, pooling, lengths)[:, 1].sum().backward()
        found.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(found[0]) == 1 + ordered
    for plain, prepared in zip(*found, strict=True):
        torch.testing.assert_close(plain, prepared)
