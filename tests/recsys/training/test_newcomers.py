"""Training with features: new items and new users get what their features say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import split
from recsys.evaluation.evaluator import TowerScorer
from recsys.models.two_tower import new_model
from recsys.training.cold_start import ColdStartDropout
from recsys.training.fit import Fit
from recsys.training.negatives import NegativeSampler
from recsys.training.trainer import Trainer
from tests.support.examples import aisles, conveyor, with_groups

CPU = torch.device("cpu")
CONFIG = TrainConfig(dim=8, lr=0.03, epochs=15, batch_size=16, average=0.8, seed=1)
NEW_ITEMS = (3, 4, 5)  # one of each group, as positions
NEW_USERS = (0, 1, 2)


def without_newcomers(data: Interactions) -> Interactions:
    return data.take(~np.isin(data.items, NEW_ITEMS) & ~np.isin(data.users, NEW_USERS))


def trained(config: TrainConfig) -> tuple[Trainer, Interactions]:
    seen = without_newcomers(aisles())
    trainer = Trainer(seen, config, CPU)
    for _ in range(config.epochs):
        trainer.train_epoch()
    return trainer, seen


@pytest.mark.parametrize("negatives", [0, 30])
def test_newcomers_go_to_their_group(negatives: int) -> None:
    trainer, seen = trained(CONFIG.replace(negatives=negatives))
    scores = TowerScorer(trainer.model, seen).scores(torch.arange(seen.n_users))
    new = scores[:, list(NEW_ITEMS)]
    groups = torch.arange(seen.n_users) % 3
    assert (new.argmax(1) == groups).float().mean() > 0.95
    for user in NEW_USERS:
        best = scores[user].topk(10).indices
        assert (best % 3 == user).all()


@pytest.mark.parametrize("negatives", [0, 30])
def test_what_nobody_trained_stays_zero(negatives: int) -> None:
    trainer, _ = trained(CONFIG.replace(negatives=negatives, epochs=2))
    model, new = trainer.model, list(NEW_ITEMS)
    assert model.items[new].abs().max() == 0
    assert model.recent_items[new].abs().max() == 0
    assert model.bias[new].abs().max() == 0
    assert model.items.abs().sum(1).eq(0).sum() == len(new)
    lengths = torch.linalg.vector_norm(model.item_vectors(), dim=1)
    torch.testing.assert_close(lengths, torch.ones(len(lengths)))


def test_two_runs_are_equal_bit_for_bit() -> None:
    one, _ = trained(CONFIG.replace(epochs=2))
    two, _ = trained(CONFIG.replace(epochs=2))
    for name, weights in one.model.state_dict().items():
        assert torch.equal(weights, two.model.state_dict()[name])


def test_by_row_and_whole_make_the_same_vectors() -> None:
    data = aisles()
    model = new_model(data, CONFIG.replace(user_weight=0.3), CPU)
    model.initialize(torch.Generator().manual_seed(0))
    rows = {"items": torch.tensor([5, 2, 9]), "users": torch.tensor([7, 1])}
    part = model.towers().part(rows)
    torch.testing.assert_close(part.item_vectors(), model.item_vectors()[rows["items"]])


def test_untrained_items_are_never_drawn() -> None:
    seen = without_newcomers(aisles())
    sampler = NegativeSampler(seen, 500)
    generator = torch.Generator().manual_seed(0)
    drawn = sampler.draw(np.array([1]), generator)
    assert not set(NEW_ITEMS) & set(drawn.items.tolist())
    assert np.isfinite(drawn.log_share).all()
    assert len(drawn.items) > 50


def test_rare_items_stand_in_for_new_ones_more_often() -> None:
    data = with_groups(conveyor())
    often = data.items == 0
    rows = np.concatenate([np.flatnonzero(often), np.flatnonzero(data.items == 1)[:1]])
    seen = data.take(np.sort(rows))
    model = new_model(seen, CONFIG, CPU)
    model.initialize(torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.bias.fill_(1.0)
    cold_start, generator = ColdStartDropout(seen, CPU), torch.Generator().manual_seed(0)
    keep = [torch.as_tensor(cold_start.draw(None, generator)) for _ in range(300)]
    towers = model.towers()
    bias = torch.stack([cold_start.candidates(towers, some, whole=True)[1] for some in keep])
    assert torch.isinf(bias[:, 2:]).all()
    shares = (bias[:, :2] == 0).float().mean(0)
    assert shares[0] == pytest.approx((1 + int(often.sum())) ** -0.5, abs=0.06)
    assert shares[1] == pytest.approx(2**-0.5, abs=0.08)


def test_features_help_where_there_is_no_past() -> None:
    data = aisles()
    holdout = split(data).tuning
    plain = replace(data, item_features=None, user_features=None)
    config = CONFIG.replace(epochs=6)
    best = []
    for seen in (holdout.seen, replace(holdout.seen, item_features=None, user_features=None)):
        fit = Fit(replace(holdout, seen=seen), config, CPU)
        best.append(max(result.metrics.recall_at_10 for result in fit))
    assert plain.fingerprint != data.fingerprint
    assert best[0] > best[1]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("negatives", [0, 30])
def test_gpu_equals_cpu_within_tolerance(negatives: int) -> None:
    data = split(aisles()).tuning
    config = CONFIG.replace(epochs=3, negatives=negatives)
    ours = [list(Fit(data, config, torch.device(name)))[-1] for name in ("cpu", "cuda")]
    assert ours[0].train_loss == pytest.approx(ours[1].train_loss, rel=1e-3)
