"""Ids of any type mean what the files say; answers can be narrowed; items have similar items."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.retrieval.index import IndexFacts
from recsys.retrieval.ivf import ListSearch, sort_into_lists
from recsys.retrieval.recommender import Recommender
from recsys.retrieval.requests import Id, Question, RequestError, id_text
from tests.support.trained import trained


def numbered() -> Recommender:
    """Users and items whose ids are 100, 101, ..."""
    data = trained().history
    users = tuple(str(100 + user) for user in range(data.n_users))
    items = tuple(str(100 + item) for item in range(data.n_items))
    return Recommender(trained().model, replace(data, user_ids=users, item_ids=items))


@pytest.mark.parametrize(
    "user", [107, np.int64(107), 107.0, np.float32(107), "107", np.str_("107")]
)
def test_a_number_is_the_id_that_the_file_shows(user: Id) -> None:
    recommender = numbered()
    expected = recommender.answer([Question("107")])[0]
    assert expected.source == "model"
    assert recommender.recommend(user) == expected
    assert recommender.answer([Question(user)])[0] == expected
    assert recommender.recommend([user, "nobody"])[0] == expected
    assert recommender.recommend(np.array([user])) == [expected]


def test_a_history_of_numbers_is_a_history() -> None:
    recommender = numbered()
    texts = recommender.recommend(history=["103", "104"], exclude=["106"], only=["105", "106"])
    numbers = recommender.recommend(history=[103, 104], exclude=[106], only=np.array([105, 106]))
    assert numbers == texts
    assert numbers.unknown_items == ()
    assert [item for item, _ in numbers.items] == ["105"]


@pytest.mark.parametrize("value", [True, None, b"107", ("107",), object()])
def test_other_values_are_no_ids(value: object) -> None:
    with pytest.raises(RequestError, match="is no id: give text or an integer"):
        id_text(value)


def test_a_text_is_no_list_of_letters() -> None:
    with pytest.raises(RequestError, match="history='103': give a list of item ids"):
        numbered().recommend(history="103")
    with pytest.raises(RequestError, match="not both"):
        numbered().recommend(107, history=[103])
    with pytest.raises(RequestError, match="not neither"):
        numbered().recommend()  # type: ignore[call-overload]


def test_only_some_items_keep_their_scores_and_order() -> None:
    recommender = numbered()
    everything = recommender.recommend(107, k=1000).items
    chosen = [item for item, _ in everything[3:9]]
    narrow = recommender.recommend(107, only=[*chosen, "unknown"])
    assert narrow.items == everything[3:9]
    assert recommender.recommend(107, only=[]).items == ()
    popular = recommender.recommend("nobody", only=chosen)
    assert popular.source == "popular"
    assert {item for item, _ in popular.items} == set(chosen)


def test_only_is_exact_behind_an_index_too() -> None:
    recommender = numbered()
    points = recommender.catalogue.points()
    search = ListSearch(points, sort_into_lists(points, 6, seed=0))
    behind = recommender.behind(search, IndexFacts(6, 1, 0.5, 10))
    worst = [item for item, _ in recommender.recommend(107, k=1000).items[-5:]]
    both = [Question(107, only=worst), Question(107, k=3), Question(108, only=worst)]
    assert behind.answer(both)[::2] == recommender.answer(both)[::2]


def test_similar_items_have_the_highest_cosine() -> None:
    recommender, model = numbered(), trained().model
    vectors = torch.nn.functional.normalize(model.item_vectors().detach())
    cosines = (vectors @ vectors[4]).tolist()
    order = sorted(set(range(model.n_items)) - {4}, key=lambda item: -cosines[item])
    answer = recommender.similar_items(104, k=5)
    assert [item for item, _ in answer.items] == [str(100 + item) for item in order[:5]]
    assert [score for _, score in answer.items] == pytest.approx([cosines[i] for i in order[:5]])
    without = recommender.similar_items("104", k=4, exclude=[answer.items[0][0]])
    assert without.items == answer.items[1:]
    last = [str(100 + item) for item in order[-2:]]
    assert [item for item, _ in recommender.similar_items(104, only=last).items] == last
    with pytest.raises(RequestError, match="item '9' is not among the 30 items of the model"):
        recommender.similar_items(9)


def test_items_without_a_vector_are_like_nothing() -> None:
    model = copy.deepcopy(trained().model)
    with torch.no_grad():
        model.items[[3, 4, 5]] = 0.0
    recommender = Recommender(model, trained().history)
    asked = str(trained().history.item_ids[3])
    answer = recommender.similar_items(asked, k=recommender.n_items - 1)
    assert len(answer.items) == recommender.n_items - 1
    assert all(score == 0.0 for _, score in answer.items)
