"""Answers equal the brute force over all scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.evaluation import Evaluator, TowerScorer
from recsys.interactions import Interactions, Repeats
from recsys.recommender import Recommender, RequestError
from recsys.split import Holdout
from tests import reference
from tests.examples import random_log
from tests.recsys.trained import train, trained

RANDOM = train(random_log(np.random.default_rng(0)))


def brute_force(history: Interactions, user: int, k: int) -> list[tuple[str, float]]:
    """All items by falling score, those in the history left out unless they repeat."""
    scores = TowerScorer(RANDOM.model, history).scores(torch.tensor([user]))[0].tolist()
    seen = set(history.items[history.users == user]) if history.repeats == "drop" else set()
    items = sorted(set(range(history.n_items)) - seen, key=lambda item: -scores[item])
    return [(history.item_ids[item], scores[item]) for item in items[:k]]


@pytest.mark.parametrize("repeats", ["drop", "keep"])
@pytest.mark.parametrize("chunk_bytes", [1, 4 << 20])
def test_equals_brute_force(repeats: Repeats, chunk_bytes: int) -> None:
    history = replace(RANDOM.parts.interactions, repeats=repeats)
    recommender = Recommender(RANDOM.model, history, chunk_bytes)
    for user_id, answer in zip(
        history.user_ids, recommender.recommend(history.user_ids, 7), strict=True
    ):
        expected = brute_force(history, history.user_ids.index(user_id), 7)
        assert answer.source == "model"
        assert [item for item, _ in answer.items] == [item for item, _ in expected]
        assert [score for _, score in answer.items] == pytest.approx([s for _, s in expected])


def test_answers_keep_the_order_and_unknown_users_get_the_popular() -> None:
    history = RANDOM.history
    known = history.user_ids[:2]
    recommender = Recommender(RANDOM.model, history)
    first, unknown, second = recommender.recommend([known[1], "nobody", known[0]], 5)
    assert [second, first] == recommender.recommend(known, 5)
    counts = np.bincount(history.items, minlength=history.n_items)
    best = np.argsort(-counts, kind="stable")[:5]
    assert unknown.source == "popular"
    assert unknown.items == tuple((history.item_ids[item], counts[item]) for item in best)


def test_fewer_than_k_when_little_is_left() -> None:
    recommender = Recommender(trained().model, trained().parts.interactions)
    (answer,) = recommender.recommend(["u0"], 1000)
    assert len(answer.items) == 30 - 12
    assert not {item for item, _ in answer.items} & {f"i{i}" for i in range(12)}
    assert recommender.recommend([], 3) == []


@pytest.mark.parametrize("k", [0, -1, 1001, 2.5, True, "10"])
def test_k_has_limits(k: int) -> None:
    with pytest.raises(RequestError, match=r"k=.*must be an integer in 1\.\.1000"):
        Recommender(RANDOM.model, RANDOM.history).recommend(["0"], k)


def test_figures_can_be_recomputed_from_answers() -> None:
    holdout: Holdout = RANDOM.parts.tuning
    relevant = reference.relevant_of(holdout)
    ids = holdout.seen.item_ids
    users = [holdout.seen.user_ids[user] for user in relevant]
    answers = Recommender(RANDOM.model, holdout.seen).recommend(users, 10)
    recalls = [
        len({item for item, _ in answer.items} & {ids[item] for item in items}) / len(items)
        for answer, items in zip(answers, relevant.values(), strict=True)
    ]
    evaluator = Evaluator(holdout, torch.device("cpu"))
    found = evaluator.evaluate(TowerScorer(RANDOM.model, holdout.seen)).mean()
    assert np.mean(recalls) == pytest.approx(found.recall_at_10, abs=1e-12)
