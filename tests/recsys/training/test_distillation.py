"""Teachers: their expectations by hand, and what a student learns from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import split
from recsys.errors import DivergedError
from recsys.evaluation.evaluator import TowerScorer
from recsys.models.two_tower import TwoTower
from recsys.training.distillation import SHARE, Teachers, teacher_seeds
from recsys.training.fit import train
from recsys.training.losses import Targets
from recsys.training.step import Step
from recsys.training.trainer import Trainer
from tests.support.examples import aisles, exploding, random_log

CPU = torch.device("cpu")
CONFIG = TrainConfig(dim=8, lr=0.03, epochs=4, batch_size=2, average=0.8, user_weight=0.4)


def rows(*, timed: bool = True) -> Interactions:
    return split(random_log(np.random.default_rng(0), timed=timed)).tuning.seen


def taught(
    seen: Interactions, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[TwoTower], list[tuple[Step, Targets]]]:
    """Return two teachers, and the steps of a student's first epoch with their targets."""
    teachers = [train(seen, config.replace(seed=seed), 3, CPU) for seed in (5, 6)]
    found = []
    original = Teachers.targets

    def watched(self: Teachers, step: Step) -> Targets:
        found.append((step, original(self, step)))
        return found[-1][1]

    monkeypatch.setattr(Teachers, "targets", watched)
    Trainer(seen, config, CPU, Teachers(teachers, seen)).train_epoch()
    return teachers, found


def whole_rows(step: Step, table: str, positions: Tensor) -> Tensor:
    """Return positions in the part of a table that a step updates as rows of the whole table."""
    return step.rows[table][positions] if table in step.rows else positions


def logits_by_hand(model: TwoTower, step: Step, user: int, candidates: Tensor) -> Tensor:
    pools = step.undropped
    assert pools is not None
    start, length = int(pools.starts[user]), int(step.lengths[user])
    mine = slice(start, start + length)
    items = whole_rows(step, "recent_items", pools.items[mine])
    other = model.recent_items if model.whole_items is None else model.whole_items
    vector = pools.recent[mine] @ model.recent_items[items] + pools.whole[mine] @ other[items]
    assert model.users is not None
    own = whole_rows(step, "users", step.users[user])
    vector = vector + model.config.user_weight * model.users[own]
    vector = vector / vector.norm() / model.config.temperature
    return model.item_vectors()[candidates] @ vector + model.bias[candidates]


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("negatives", [0, 15])
def test_expectations_are_the_softmax_of_the_mean_logits(
    timed: bool, negatives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    teachers, found = taught(rows(timed=timed), CONFIG.replace(negatives=negatives), monkeypatch)
    for step, targets in found:
        assert targets.expected is not None
        n_users, n = targets.expected.shape
        candidates = whole_rows(step, "items", torch.arange(n))
        for user in range(n_users):
            each = [logits_by_hand(model, step, user, candidates) for model in teachers]
            logits = torch.stack(each).mean(0)
            mine = targets.positions[targets.rows == user] - user * n
            if targets.log_share is not None:
                certain = logits[mine]
                logits = logits - targets.log_share
                logits[mine] = certain
            hidden = targets.masked[targets.masked // n == user] - user * n
            logits[hidden] = -torch.inf
            wanted = SHARE * targets.mass[user] * torch.softmax(logits, 0)
            torch.testing.assert_close(targets.expected[user], wanted, rtol=1e-4, atol=1e-6)


def test_targets_and_expectations_weigh_as_much_as_the_targets_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for step, targets in taught(rows(), CONFIG, monkeypatch)[1]:
        assert targets.expected is not None
        torch.testing.assert_close(targets.weights, step.targets.weights * (1 - SHARE))
        total = targets.expected.sum(1, keepdim=True)
        torch.testing.assert_close(total, SHARE * step.targets.mass)


def test_a_student_comes_nearer_to_its_teachers() -> None:
    seen, epochs = rows(), 12
    config = CONFIG.replace(batch_size=16)
    seeds = teacher_seeds(config.seed, 2)
    teachers = [train(seen, config.replace(seed=seed), epochs, CPU) for seed in seeds]
    expected = torch.stack([probabilities(model, seen) for model in teachers]).log().mean(0)
    distance = [
        float((expected.exp() * (expected - probabilities(model, seen).log())).sum())
        for model in (train(seen, config, epochs, CPU, teachers=n) for n in (0, 2))
    ]
    assert distance[1] < distance[0] / 2


def probabilities(model: TwoTower, seen: Interactions) -> Tensor:
    return torch.softmax(TowerScorer(model, seen).scores(torch.arange(seen.n_users)).clone(), 1)


@pytest.mark.parametrize("negatives", [0, 15])
def test_items_without_rows_are_expected_by_nobody(
    negatives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = aisles()
    seen = data.take(~np.isin(data.items, (3, 4, 5)))
    for step, targets in taught(seen, CONFIG.replace(negatives=negatives), monkeypatch)[1]:
        assert targets.expected is not None
        candidates = whole_rows(step, "items", torch.arange(targets.expected.shape[1]))
        new = torch.isin(candidates, torch.tensor([3, 4, 5]))
        assert targets.expected[:, new].abs().sum() == 0
        assert targets.expected.isfinite().all()


def test_two_trainings_are_equal_bit_for_bit() -> None:
    one, two = (train(rows(), CONFIG, 2, CPU, teachers=2).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_teacher_that_diverges_is_told() -> None:
    told: list[str] = []
    with pytest.raises(DivergedError):
        train(exploding().seen, CONFIG, 2, CPU, teachers=2, say=told.append)
    assert told == ["teacher 1 of 2 diverges"]


def test_seeds_of_teachers_differ_from_each_other_and_belong_to_the_seed() -> None:
    seeds = teacher_seeds(0, 16)
    assert len({0, *seeds}) == 17
    assert teacher_seeds(0, 3) == seeds[:3]
    assert not set(teacher_seeds(1, 16)) & set(seeds)
    assert all(TrainConfig(seed=seed).seed == seed for seed in seeds)
