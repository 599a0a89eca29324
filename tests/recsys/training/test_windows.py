"""Windows: history before the cut, targets after it, nothing else."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.models.history import histories
from recsys.training.windows import Batch, Windows
from tests.support.examples import random_log


def batches(log: Interactions, seed: int = 0, **values: object) -> list[Batch]:
    config = TrainConfig(**values)  # type: ignore[arg-type]
    return list(Windows(log, config).batches(torch.Generator().manual_seed(seed)))


def of_user(batch: Batch, row: int) -> tuple[list[int], list[int]]:
    history = batch.history_items[batch.history_rows == row].tolist()
    return history, batch.target_items[batch.target_rows == row].tolist()


def test_ages_and_lengths_belong_to_the_history() -> None:
    log = random_log(np.random.default_rng(0))
    for batch in batches(log, batch_size=7, cuts=2):
        assert batch.lengths.tolist() == np.bincount(batch.history_rows).tolist()
        for row in range(len(batch.users)):
            ages = batch.history_ages[batch.history_rows == row].tolist()
            assert ages == list(range(len(ages)))[::-1]


def test_targets_follow_the_history_in_time() -> None:
    log = random_log(np.random.default_rng(0))
    for batch in batches(log, batch_size=7, cuts=2, window=5, window_share=0.5):
        for row, user in enumerate(batch.users.tolist()):
            mine = log.items[log.users == user].tolist()
            history, targets = of_user(batch, row)
            cut = len(history)
            assert 1 <= cut < len(mine)
            assert history == mine[:cut]
            n_targets = min(5, 1 + cut // 2)
            assert targets == mine[cut : cut + n_targets]


def test_every_user_with_two_rows_comes_as_often_as_there_are_cuts() -> None:
    log = Interactions.from_ids(list("aaabbc"), list("xyzxyx"), list(range(6)))
    users = np.concatenate([batch.users for batch in batches(log, cuts=3, batch_size=2)])
    assert np.bincount(users, minlength=3).tolist() == [3, 3, 0]


def test_ages_count_items_back_from_the_cut() -> None:
    history = histories(torch.arange(10), torch.tensor([0, 4, 4]), torch.tensor([3, 0, 2]))
    assert history.items.tolist() == [0, 1, 2, 4, 5]
    assert history.ages.tolist() == [2, 1, 0, 1, 0]
    assert history.starts.tolist() == [0, 3, 3]
    assert history.owner.tolist() == [0, 0, 0, 2, 2]


def test_targets_weigh_less_the_farther_they_are() -> None:
    log = Interactions.from_ids(["u"] * 6, range(6), range(6))
    (batch,) = batches(log, window_share=10, target_decay=2.0, user_power=0.5, cuts=1)
    k = len(batch.target_items)
    np.testing.assert_allclose(batch.target_weights, np.exp(-np.arange(k) / 2.0) * k**-0.5, 1e-6)


def test_event_weights_multiply_the_targets() -> None:
    plain = Interactions.from_ids(["u"] * 4, range(4), range(4))
    heavy = Interactions.from_ids(["u"] * 4, range(4), range(4), [5.0] * 4)
    (one,), (five,) = batches(plain, cuts=1), batches(heavy, cuts=1)
    np.testing.assert_allclose(five.target_weights, 5 * one.target_weights, 1e-6)


def test_without_times_the_history_is_a_random_part() -> None:
    log = Interactions.from_ids(["u"] * 8, range(8))
    seen = set()
    for seed in range(20):
        (batch,) = batches(log, seed, cuts=1, window_share=100)
        history, targets = of_user(batch, 0)
        assert sorted(history + targets) == list(range(8))
        assert len(set(batch.target_weights.tolist())) == 1
        seen.add(tuple(history))
    assert len(seen) > 15


@pytest.mark.parametrize("timed", [True, False])
def test_the_same_generator_draws_the_same_windows(timed: bool) -> None:
    log = random_log(np.random.default_rng(0), timed=timed)
    for one, two in zip(batches(log, 5), batches(log, 5), strict=True):
        assert np.array_equal(one.history_items, two.history_items)
        assert np.array_equal(one.target_items, two.target_items)


@pytest.mark.parametrize("unit", [1e-30, 1e-8, 1e-3, 1.0])
def test_tiny_weights_count_as_much_as_others(unit: float) -> None:
    log = random_log(np.random.default_rng(0))
    weights = unit * np.linspace(0.5, 1.5, len(log))
    weighted = dataclasses.replace(log, weights=weights.astype(np.float32))
    targets = np.concatenate([batch.target_weights for batch in batches(weighted)])
    assert 1e-4 < targets.mean() < 10


def test_tiny_weights_keep_their_ratios() -> None:
    log = random_log(np.random.default_rng(0))
    weights = np.linspace(0.5, 1.5, len(log)).astype(np.float32)
    found = []
    for factor in (1.0, 2.0**-30):
        weighted = dataclasses.replace(log, weights=weights * np.float32(factor))
        found.append(np.concatenate([batch.target_weights for batch in batches(weighted)]))
    ratio = found[1] / found[0]
    assert set(ratio.tolist()) == {ratio[0]}
    assert math.log2(ratio[0]).is_integer()
