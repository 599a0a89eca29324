"""Answers equal the brute force over all scores."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions, Repeats
from recsys.data.splitting import Holdout
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.evaluation.ranking import top_items
from recsys.models.history import NEWEST
from recsys.retrieval.recommender import Recommender, RequestError
from recsys.retrieval.requests import Answer, Question
from tests.support import reference
from tests.support.examples import random_log
from tests.support.trained import train, trained

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


def tower_by_hand(items: list[int]) -> np.ndarray:
    """(n_items,) scores for a new user with these items, oldest first, from the formula."""
    state = {name: value.numpy() for name, value in RANDOM.model.state_dict().items()}
    config = RANDOM.model.config
    ages = np.arange(len(items))[::-1]
    weights = np.exp(-ages / config.recency)
    recent = weights @ state["recent_items"][items] / weights.sum()
    whole = state["whole_items"][items].sum(0) / len(items) ** config.history_power
    user = recent + config.mix * whole
    user = user / np.linalg.norm(user) / config.temperature
    unit = state["items"] / np.linalg.norm(state["items"], axis=1, keepdims=True)
    scores: np.ndarray = unit @ user + state["bias"]
    neighbour_queries = np.where(ages < NEWEST, weights, 0)
    neighbour_queries *= config.neighbour_weight / neighbour_queries.sum()
    for item, weight in zip(items, neighbour_queries, strict=True):
        near = weight * state["neighbours.nearness"][item]
        np.add.at(scores, state["neighbours.items"][item], near)
    return scores


def expected_items(scores: np.ndarray, hidden: set[int], k: int) -> list[str]:
    best = [item for item in np.argsort(-scores, kind="stable") if item not in hidden]
    return [RANDOM.history.item_ids[item] for item in best[:k]]


@pytest.mark.parametrize("repeats", ["drop", "keep"])
def test_new_users_are_encoded_from_their_history(repeats: Repeats) -> None:
    history = replace(RANDOM.history, repeats=repeats)
    recommender = Recommender(RANDOM.model, history)
    codes = [[3], [7, 3, 11, 4], list(range(20))]
    questions = [Question(history=[history.item_ids[c] for c in items], k=6) for items in codes]
    answers = recommender.answer(questions)
    assert answers == [pytest_approx(recommender.answer([q])[0]) for q in questions]
    for items, answer in zip(codes, answers, strict=True):
        scores = tower_by_hand(items)
        hidden = set(items) if repeats == "drop" else set()
        assert [item for item, _ in answer.items] == expected_items(scores, hidden, 6)
        found = [score for _, score in answer.items]
        assert found == pytest.approx(-np.sort(-np.delete(scores, list(hidden)))[:6], rel=1e-4)
        assert (answer.source, answer.unknown_items) == ("model", ())


def pytest_approx(answer: Answer) -> Answer:
    items = tuple((item, pytest.approx(score, rel=1e-5)) for item, score in answer.items)
    return replace(answer, items=items)


def test_times_put_a_history_in_order() -> None:
    recommender = Recommender(RANDOM.model, RANDOM.history)
    ids = RANDOM.history.item_ids
    ordered = Question(history=[ids[5], ids[2], ids[9]])
    shuffled = Question(history=[ids[9], ids[5], ids[2]], times=[30, 1.5, 20])
    assert recommender.answer([ordered]) == recommender.answer([shuffled])
    assert recommender.answer([ordered]) != recommender.answer([replace(shuffled, times=None)])


def test_the_earliest_of_repeated_items_counts() -> None:
    recommender = Recommender(RANDOM.model, RANDOM.history)
    a, b = RANDOM.history.item_ids[:2]
    once, twice = Question(history=[a, b]), Question(history=[a, b, a, b, a])
    assert recommender.answer([once]) == recommender.answer([twice])


def test_unknown_items_are_left_out_and_named() -> None:
    recommender = Recommender(RANDOM.model, RANDOM.history)
    known = RANDOM.history.item_ids[4]
    (mixed,) = recommender.answer([Question(history=["?", known, "??"])])
    (plain,) = recommender.answer([Question(history=[known])])
    assert mixed == replace(plain, unknown_items=("?", "??"))
    nothing, empty = recommender.answer([Question(history=["?"]), Question(history=[])])
    assert (nothing.source, nothing.unknown_items) == ("popular", ("?",))
    (popular,) = recommender.recommend(["nobody"])
    assert empty == popular
    assert nothing.items == popular.items


@pytest.mark.parametrize("asked", [{"user_id": "0"}, {"history": ["1", "2"]}, {"user_id": "?"}])
def test_excluded_items_are_not_answered(asked: dict[str, str]) -> None:
    recommender = Recommender(RANDOM.model, RANDOM.history)
    (free,) = recommender.answer([Question(**asked, k=8)])
    exclude = [free.items[0][0], free.items[3][0], "no such item"]
    (answer,) = recommender.answer([Question(**asked, exclude=exclude, k=6)])
    assert answer.items == tuple(each for each in free.items if each[0] not in exclude)


def test_different_questions_in_one_call() -> None:
    recommender = Recommender(RANDOM.model, RANDOM.history, chunk_bytes=1000)
    ids = RANDOM.history.item_ids
    questions = [
        Question(user_id="3", k=3),
        Question(history=[ids[1]], k=20),
        Question(user_id="?", k=2),
        Question(user_id="5", exclude=[ids[0]], k=1),
    ]
    together = recommender.answer(questions)
    assert [len(answer.items) for answer in together] == [3, 20, 2, 1]
    assert together == [pytest_approx(recommender.answer([each])[0]) for each in questions]


def test_many_at_once_as_numbers() -> None:
    history = RANDOM.history
    recommender = Recommender(RANDOM.model, history, chunk_bytes=2000)
    scores, items = recommender.top(np.arange(history.n_users), 1000)
    assert scores.shape == items.shape == (history.n_users, history.n_items)
    for user, answer in enumerate(recommender.recommend(history.user_ids, 1000)):
        left = scores[user] > -torch.inf
        found = zip(items[user, left].tolist(), scores[user, left].tolist(), strict=True)
        named = tuple((history.item_ids[item], pytest.approx(score)) for item, score in found)
        assert answer.items == named


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "either user_id or history .* not neither"),
        ({"user_id": "0", "history": []}, "not both"),
        ({"user_id": "0", "times": [1]}, "times: 1 for no history"),
        ({"history": ["1", "2"], "times": [1]}, "times: 1 for 2 items"),
        ({"user_id": "0", "k": 0}, "k=0"),
    ],
)
def test_questions_must_make_sense(asked: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Question(**asked)


def test_threads_may_ask_the_same_recommender() -> None:
    recommender = Recommender(RANDOM.model, RANDOM.history)
    questions = [Question(history=[item]) for item in RANDOM.history.item_ids]
    expected = recommender.answer(questions)
    found: dict[int, list[Answer]] = {}

    def ask(thread: int) -> None:
        found[thread] = recommender.answer(questions)

    threads = [threading.Thread(target=ask, args=[i]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(8)] == [expected] * 8


@pytest.mark.parametrize("n", [1, 100, 4095, 4096, 4097, 20_000, 20_479])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_top_items_equal_a_full_sort(n: int, k: int) -> None:
    scores = torch.randn(3, n, generator=torch.Generator().manual_seed(n + k))
    scores[1, ::2] = -torch.inf
    values, items = top_items(scores, k)
    order = torch.argsort(scores, dim=1, descending=True, stable=True)[:, : min(k, n)]
    finite = scores.gather(1, order) > -torch.inf
    assert torch.equal(values, scores.gather(1, order))
    assert torch.equal(items[finite], order[finite])
    assert torch.equal(scores.gather(1, items), values)
