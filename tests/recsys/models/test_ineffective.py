"""Parameters called ineffective change no number, and those on other data do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.models import ineffective, neighbours
from recsys.models.ineffective import ineffective_parameters
from recsys.training.trainer import Trainer
from tests.support.examples import conveyor, random_log, with_groups

CPU = torch.device("cpu")
CHANGED = {
    "window_share": 0.1,
    "target_decay": 1.0,
    "recency": 0.5,
    "feature_weight": 0.0,
    "reverse_weight": 0.5,
    "walk_alpha": 0.5,
    "walk_beta": 0.9,
}
WALKS = ("walk_alpha", "walk_beta")
WITH_AN_EFFECT = {"neighbour_weight": 9.0, "neighbours": 1}
SMALL = TrainConfig(dim=4, batch_size=16, window_share=0.9)


def trained(data: Interactions, **changes: float) -> list[torch.Tensor]:
    """All that scores come from after two epochs: weights, and what neighbours add."""
    trainer = Trainer(data, SMALL.replace(**changes), CPU)
    losses = [torch.tensor(trainer.train_epoch()) for _ in range(2)]
    model = trainer.model
    users = torch.arange(data.n_users)
    from recsys.evaluation.evaluator import TowerScorer

    return [*losses, *model.parameters(), TowerScorer(model, data).scores(users)]


@pytest.fixture
def without() -> Interactions:
    """No times, no features."""
    return replace(conveyor(), times=None)


@pytest.mark.parametrize("name", CHANGED)
def test_it_changes_no_number(without: Interactions, name: str) -> None:
    assert name in ineffective_parameters(without)
    pairs = zip(trained(without), trained(without, **{name: CHANGED[name]}), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_those_are_all_that_are_tried_here(without: Interactions) -> None:
    assert set(ineffective_parameters(without)) == set(CHANGED)


@pytest.mark.parametrize("name", CHANGED | WITH_AN_EFFECT)
def test_it_changes_numbers_where_it_is_not_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = with_groups(conveyor())
    assert set(ineffective_parameters(data)) == set(WALKS)
    if name in WALKS:
        for module in (neighbours, ineffective):
            monkeypatch.setattr(module, "MAX_EASE_ITEMS", 10)
        data = random_log(np.random.default_rng(3), n_items=70, timed=False)
        assert name not in ineffective_parameters(data)
    pairs = zip(
        trained(data), trained(data, **{name: (CHANGED | WITH_AN_EFFECT)[name]}), strict=True
    )
    assert not all(torch.equal(a, b) for a, b in pairs)
