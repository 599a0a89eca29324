"""Item neighbours against plain loops, and the scores that they complete."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.artifacts.pair_scorer import PairScorer
from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.evaluation.evaluator import TowerScorer
from recsys.models import neighbours
from recsys.models.baselines import ease_weights
from recsys.models.history import NEWEST
from recsys.models.neighbours import Neighbours, nearest
from recsys.models.two_tower import new_model
from recsys.training.trainer import Trainer
from tests.support import reference
from tests.support.examples import conveyor, random_log

CPU = torch.device("cpu")
SMALL = TrainConfig(dim=4, epochs=1, neighbour_weight=2.5)


def log(*, timed: bool = True) -> Interactions:
    return random_log(np.random.default_rng(3), n_items=70, timed=timed)


def table(seen: Interactions, config: TrainConfig = SMALL) -> np.ndarray:
    """(n_items, n_items): row j is how near each item is to j, 0 beyond the lists."""
    items, nearness = nearest(seen, config)
    dense = np.zeros((seen.n_items, seen.n_items))
    np.add.at(dense, (np.arange(seen.n_items)[:, None], items), nearness)
    return dense


def by_loops(seen: Interactions, backward: float = 0.0) -> np.ndarray:
    together: dict[tuple[int, int], float] = defaultdict(float)
    for user in range(seen.n_users):
        mine = seen.items[seen.offsets[user] : seen.offsets[user + 1]].tolist()
        for place, item in enumerate(mine):
            for distance, later in enumerate(mine[place + 1 : place + 1 + neighbours.REACH]):
                weight = math.exp(-distance / neighbours.FADE)
                together[item, later] += weight
                if backward:
                    together[later, item] += backward * weight
    rows = np.bincount(seen.items, minlength=seen.n_items)
    result = np.zeros((seen.n_items, seen.n_items))
    for (item, later), count in together.items():
        scale = math.sqrt(rows[item] * rows[later]) + neighbours.SHRINK
        result[item, later] = count / scale
    return result / result.max(1)[result.max(1) > 0].mean()


def assert_nearest(found: np.ndarray, all_pairs: np.ndarray, most: int = 30) -> None:
    """The lists hold the largest of all pairs; whom they take of equals is open."""
    last = np.sort(all_pairs, 1)[:, [-most]]
    listed, clear = found > 0, all_pairs > last * (1 + 1e-6)
    assert listed[clear].all()
    assert (all_pairs[listed] >= np.broadcast_to(last, found.shape)[listed] * (1 - 1e-6)).all()
    np.testing.assert_allclose(found[listed], all_pairs[listed], rtol=1e-4)
    assert (listed.sum(1) == np.minimum((all_pairs > 0).sum(1), most)).all()


def test_followers_equal_plain_loops() -> None:
    assert_nearest(table(log()), by_loops(log()))


def test_what_goes_before_counts_as_much_as_it_is_told() -> None:
    seen = log()
    assert_nearest(table(seen, SMALL.replace(reverse_weight=0.6)), by_loops(seen, 0.6))


@pytest.mark.parametrize("timed", [True, False])
def test_lists_are_as_long_as_they_are_told(timed: bool) -> None:
    seen = log(timed=timed)
    whole = table(seen, SMALL.replace(neighbours=69))
    for most in (1, 5):
        assert_nearest(table(seen, SMALL.replace(neighbours=most)), whole, most)


def test_what_follows_is_nearest() -> None:
    seen = conveyor()
    number = np.array([int(item_id[1:]) for item_id in seen.item_ids])
    items, _ = nearest(seen, SMALL)
    assert (number[items[:, 0]] == (number + 1) % 30).all()


def test_without_times_they_are_the_positive_weights_of_ease() -> None:
    seen = log(timed=False)
    weights = ease_weights(seen, CPU, neighbours.REGULARIZATION).clamp_min(0).double().numpy()
    weights *= neighbours.SUMMED / weights.max(1)[weights.max(1) > 0].mean()
    assert_nearest(table(seen), weights)


def test_of_large_untimed_catalogues_they_are_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MAX_EASE_ITEMS", 69)
    seen = log(timed=False)
    for alpha, beta in ((0.9, 0.3), (1.2, 0.6)):
        weights = reference.walks(seen, alpha, beta)
        weights *= neighbours.SUMMED / weights.max(1)[weights.max(1) > 0].mean()
        assert_nearest(table(seen, SMALL.replace(walk_alpha=alpha, walk_beta=beta)), weights)
    assert Trainer(seen, SMALL, CPU).model.neighbours is not None


def test_of_ease_some_items_at_a_time_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table(log(timed=False))
    monkeypatch.setattr(neighbours, "EASE_ROWS", 9)
    np.testing.assert_array_equal(table(log(timed=False)), whole)


def test_pairs_hold_no_items_that_nothing_is_near_to() -> None:
    alone = Interactions.from_ids(list("abc"), list("xyz"))  # nobody has two items
    model = new_model(alone, SMALL, CPU)
    model.initialize(torch.Generator())
    assert PairScorer.of(model, alone).asking_items.shape[1] == 0


def test_what_people_come_back_to_is_its_own_neighbour() -> None:
    seen = Interactions.from_ids(["a"] * 4, ["x", "x", "y", "x"], [1, 2, 3, 4], repeats="keep")
    assert table(seen)[0, 0] > 0


def test_large_logs_are_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table(log())
    monkeypatch.setattr(neighbours, "MAX_PAIRS", 300 * neighbours.REACH)
    part = table(log())
    assert part.any()
    assert np.count_nonzero(part) < np.count_nonzero(whole)


@pytest.mark.parametrize(("timed", "most"), [(True, 0), (False, 5_000), (False, 69)])
def test_scores_are_the_towers_and_what_the_newest_items_say(
    monkeypatch: pytest.MonkeyPatch, timed: bool, most: int
) -> None:
    monkeypatch.setattr(neighbours, "MAX_EASE_ITEMS", most)
    seen = replace(log(timed=timed), user_ids=(*log().user_ids, "nobody"))
    trainer = Trainer(seen, SMALL, CPU)
    trainer.train_epoch()
    model, users = trainer.model, torch.arange(seen.n_users)
    scores = TowerScorer(model, seen).scores(users)
    lists, model.neighbours = model.neighbours, None
    towers = TowerScorer(model, seen).scores(users)
    model.neighbours = lists
    near = table(seen)
    for user in range(seen.n_users):
        mine = seen.items[seen.offsets[user] : seen.offsets[user + 1]][::-1]
        if timed:
            weights = np.exp(-np.arange(len(mine)) / SMALL.recency)[:NEWEST]
            weights /= weights.sum() if len(weights) else 1
        else:
            weights = np.full(len(mine), max(len(mine), 1) ** -SMALL.history_power)
        said = SMALL.neighbour_weight * (weights @ near[mine[: len(weights)]])
        expected = towers[user].numpy() + said
        np.testing.assert_allclose(scores[user].numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 2.5])
def test_pairs_are_scored_as_whole_rows_are(weight: float) -> None:
    seen = log()
    trainer = Trainer(seen, SMALL.replace(neighbour_weight=weight), CPU)
    trainer.train_epoch()
    rows = TowerScorer(trainer.model, seen).scores(torch.arange(seen.n_users))
    pairs = torch.cartesian_prod(torch.arange(seen.n_users), torch.arange(seen.n_items))
    scores = PairScorer.of(trainer.model, seen)(pairs).view_as(rows)
    torch.testing.assert_close(scores, rows, rtol=1e-4, atol=1e-5)


def test_adding_is_a_product_with_the_table() -> None:
    lists = Neighbours(70, SMALL)
    lists.learn(log())
    scores = torch.zeros(2, 70)
    neighbour_queries = (
        torch.tensor([0, 0, 1]),
        torch.tensor([5, 6, 5]),
        torch.tensor([1.0, 0.5, 2.0]),
    )
    lists.add_to(scores, *neighbour_queries)
    near = table(log())
    np.testing.assert_allclose(scores[0].numpy(), near[5] + 0.5 * near[6], rtol=1e-5)
    np.testing.assert_allclose(scores[1].numpy(), 2 * near[5], rtol=1e-5)
