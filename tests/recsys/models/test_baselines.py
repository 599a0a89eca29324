"""Baselines against definitions written with loops."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions, Repeats
from recsys.data.splitting import split
from recsys.errors import DataError
from recsys.evaluation.evaluator import Evaluator
from recsys.models import item_graph
from recsys.models.baselines import BASELINES, Popularity, ease, item_knn, rp3beta
from recsys.models.item_graph import ALPHA, BETA
from tests.support import reference
from tests.support.examples import random_log

CPU = torch.device("cpu")


@pytest.mark.parametrize("seed", range(3))
def test_equals_brute_force(seed: int) -> None:
    holdout = split(random_log(np.random.default_rng(seed))).tuning
    counts = Counter(holdout.seen.items.tolist())
    by_hand = np.array([counts[item] for item in range(holdout.seen.n_items)], float)
    expected = reference.metrics(np.tile(by_hand, (holdout.seen.n_users, 1)), holdout)
    found = Evaluator(holdout, CPU).evaluate(Popularity(holdout.seen, CPU)).mean()
    assert found.as_dict() == pytest.approx(expected, abs=1e-12)


def test_counts_rows_not_weights_and_may_be_overwritten() -> None:
    data = Interactions.from_ids(
        ["a", "b", "c", "a"], ["x", "x", "y", "z"], weights=[1, 1, 50, 1], repeats="keep"
    )
    popularity = Popularity(data, CPU)
    scores = popularity.scores(torch.tensor([0, 2]))
    assert scores.tolist() == [[2, 1, 1], [2, 1, 1]]
    scores.zero_()
    assert popularity.scores(torch.tensor([1])).tolist() == [[2, 1, 1]]


def matrix(data: Interactions) -> np.ndarray:
    has = np.zeros((data.n_users, data.n_items))
    has[data.users, data.items] = 1
    return has


def cosine_by_hand(has: np.ndarray, neighbours: int) -> np.ndarray:
    n = has.shape[1]
    weights = np.zeros((n, n))
    for i in range(n):
        similarity = np.zeros(n)
        for j in range(n):
            norms = np.sqrt(has[:, i].sum() * has[:, j].sum())
            if i != j and norms:
                similarity[j] = has[:, i] @ has[:, j] / norms
        for j in np.argsort(-similarity, kind="stable")[:neighbours]:
            weights[j, i] = similarity[j]
    return weights


@pytest.mark.parametrize("repeats", ["drop", "keep"])
def test_item_knn_equals_brute_force(repeats: Repeats) -> None:
    data = random_log(np.random.default_rng(0), n_items=20, n=300)
    data = Interactions.from_codes(
        data.users, data.items, data.times, None, data.user_ids, data.item_ids, repeats=repeats
    )
    has = matrix(data)
    expected = has @ cosine_by_hand(has, neighbours=len(has[0]))
    found = item_knn(data, CPU).scores(torch.arange(data.n_users))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_item_knn_keeps_the_nearest() -> None:
    data = Interactions.from_ids(list("aaabbbcc"), list("xyzxyzxy"))
    has = matrix(data)
    found = item_knn(data, CPU, neighbours=1).scores(torch.arange(3))
    np.testing.assert_allclose(found, has @ cosine_by_hand(has, 1), rtol=1e-6)


@pytest.mark.parametrize("most", [1, 60, 10**9])
def test_item_knn_counts_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """The dense cosine by hand, with ties cut off, in one part and in many."""
    monkeypatch.setattr(item_graph, "PAIRS_AT_ONCE", most)
    data = random_log(np.random.default_rng(2), n_items=40, n=400)
    has = matrix(data)
    found = item_knn(data, CPU, neighbours=5).scores(torch.arange(data.n_users))
    np.testing.assert_allclose(found, has @ cosine_by_hand(has, 5), rtol=1e-5, atol=1e-6)


def test_item_knn_of_a_catalogue_that_no_dense_matrix_holds() -> None:
    """100,000 items: 40 GB if they were dense; peak memory of what numpy holds stays small."""
    n = 100_000
    users, items = np.repeat(np.arange(n // 2), 2), np.arange(n)  # items 2i and 2i + 1 go together
    ids = [[str(i) for i in range(size)] for size in (n // 2, n)]
    data = Interactions.from_codes(users, items, None, None, *ids)
    tracemalloc.start()
    scorer = item_knn(data, CPU)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (found,) = scorer.scores(torch.tensor([7]))
    assert found.nonzero().flatten().tolist() == [14, 15]
    assert peak < 500e6


@pytest.mark.parametrize("repeats", ["drop", "keep"])
def test_rp3beta_equals_brute_force(repeats: Repeats) -> None:
    data = random_log(np.random.default_rng(4), n_items=20, n=300)
    data = Interactions.from_codes(
        data.users, data.items, data.times, None, data.user_ids, data.item_ids, repeats=repeats
    )
    expected = matrix(data) @ reference.walks(data, 0.8, 0.5)
    found = rp3beta(data, CPU, 20, 0.8, 0.5).scores(torch.arange(data.n_users))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_rp3beta_keeps_the_likeliest_ends() -> None:
    """The dense formula with its defaults, cut to 100 of 150 ends per item."""
    data = random_log(np.random.default_rng(5), n_users=40, n_items=150, n=4000)
    dense = reference.walks(data, ALPHA, BETA)
    for row in dense:
        row[np.argsort(-row, kind="stable")[100:]] = 0
    found = BASELINES["rp3beta"](data, CPU).scores(torch.arange(data.n_users))
    np.testing.assert_allclose(found, matrix(data) @ dense, rtol=1e-5)
    assert (dense > 0).sum(1).max() == 100, "the lists are cut"


def test_ease_solves_its_least_squares() -> None:
    data = random_log(np.random.default_rng(1), n_items=15, n=250)
    has, strength = matrix(data), 7.0
    weights = np.zeros((15, 15))
    for i in range(15):  # each column is a ridge regression on the other items
        others = [j for j in range(15) if j != i]
        gram = has[:, others].T @ has[:, others] + strength * np.eye(14)
        weights[others, i] = np.linalg.solve(gram, has[:, others].T @ has[:, i])
    found = ease(data, CPU, strength).scores(torch.arange(data.n_users))
    np.testing.assert_allclose(found, has @ weights, rtol=1e-4, atol=1e-6)


def test_too_many_items_is_said() -> None:
    data = Interactions.from_codes([0], [0], None, None, ["u"], [str(i) for i in range(10_001)])
    with pytest.raises(DataError, match="EASE: 10,001 items; its dense matrix allows at most"):
        ease(data, CPU)
