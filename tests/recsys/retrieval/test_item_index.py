"""Answers through an index: exact where all lists are looked into, and as good as it says."""

from __future__ import annotations

import json
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.artifacts.checkpoint import load, save, stored_files
from recsys.config import TrainConfig
from recsys.data.interactions import Interactions, Repeats
from recsys.errors import CheckpointError
from recsys.models.two_tower import TwoTower, new_model
from recsys.retrieval import (
    approximate as indexed_catalogue,
    index_builder as indexing,
    recommender as recommending,
)
from recsys.retrieval.index import IndexFacts, ItemIndex
from recsys.retrieval.index_builder import build_index, n_lists, recall_at_k, with_index
from recsys.retrieval.ivf import sort_into_lists
from recsys.retrieval.recommender import Recommender
from recsys.retrieval.requests import Question
from tests.support.trained import trained

N_ITEMS, N_USERS, DIM, GROUP = 3000, 300, 16, 20


@cache
def shelves(repeats: Repeats = "drop") -> Recommender:
    """Items lie around centres and have neighbours; users like two centres, user 0 nearly all.

    User 1 has nothing.
    """
    model, history = made(repeats)
    return Recommender(model, history)


@cache
def made(repeats: Repeats = "drop", neighbour_weight: float = 3.0) -> tuple[TwoTower, Interactions]:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(2, N_USERS), 30)
    centres = rng.integers(0, N_ITEMS // GROUP, (N_USERS, 2))[users, rng.integers(0, 2, len(users))]
    items = centres * GROUP + rng.integers(0, GROUP, len(users))
    users = np.concatenate([np.zeros(N_ITEMS - 15, int), users])
    items = np.concatenate([rng.permutation(N_ITEMS)[15:], items])
    ids = [f"u{u}" for u in range(N_USERS)], [f"i{i}" for i in range(N_ITEMS)]
    times = np.arange(len(users))
    history = Interactions.from_codes(users, items, times, None, *ids, repeats=repeats)
    config = TrainConfig(dim=DIM, neighbour_weight=neighbour_weight)
    model = new_model(history, config, torch.device("cpu"))
    around = rng.standard_normal((N_ITEMS // GROUP, DIM))[np.arange(N_ITEMS) // GROUP]
    around += 0.5 * rng.standard_normal(around.shape)
    with torch.no_grad():
        for table in (model.items, model.recent_items, model.whole_items):
            assert table is not None
            table.copy_(torch.from_numpy(around))
        model.bias.copy_(torch.from_numpy(0.3 * rng.standard_normal(N_ITEMS)))
    assert model.neighbours is not None
    model.neighbours.learn(history)
    return model, history


def index(probes: int, lists: int = 64) -> ItemIndex:
    sorted_ = sort_into_lists(shelves().catalogue.points(), lists)
    return ItemIndex(sorted_, IndexFacts(lists, probes, 0.0, 0))


def assert_same(
    found: tuple[torch.Tensor, torch.Tensor], exact: tuple[torch.Tensor, torch.Tensor]
) -> None:
    """The same scores, and the same items but where two scores are the same."""
    torch.testing.assert_close(found[0], exact[0], rtol=1e-5, atol=1e-5)
    apart = exact[0].diff(dim=1, prepend=torch.full((len(exact[0]), 1), torch.inf)).abs() > 1e-4
    apart[:, :-1] &= apart[:, 1:].clone()
    apart[:, -1] = False  # the next one is not known
    assert apart.float().mean() > 0.3
    assert torch.equal(found[1][apart], exact[1][apart])


@pytest.mark.parametrize("repeats", ["drop", "keep"])
@pytest.mark.parametrize("k", [5, 50, 1000])
def test_all_lists_give_exact_answers(repeats: Repeats, k: int) -> None:
    exact, everybody = shelves(repeats), np.arange(N_USERS)
    found = with_index(exact, index(64)).top(everybody, k)
    assert_same(found, exact.top(everybody, k))


def test_neighbours_are_found_whatever_list_they_are_in() -> None:
    model, history = made("drop", 100.0)
    exact, everybody = Recommender(model, history), np.arange(N_USERS)
    best, _ = exact.top(everybody, 10)
    found, _ = with_index(exact, index(1)).top(everybody, 10)
    dense = 1 / model.config.temperature + float(model.bias.detach().max())
    sure = best > dense  # so high only thanks to neighbours
    assert sure.float().mean() > 0.5
    torch.testing.assert_close(found[sure], best[sure], rtol=1e-5, atol=1e-4)


def test_every_kind_of_question() -> None:
    exact, ids = shelves(), shelves().item_ids
    questions = [
        Question(user_id="u0", k=100),  # 15 items are left
        Question(user_id="u1", k=3),  # nothing is known: the biases decide
        Question(user_id="u7", exclude=[ids[i] for i in range(0, N_ITEMS, 2)], k=30),
        Question(history=[ids[5], ids[900]], k=20),
        Question(history=list(ids), k=7),  # nothing is left
        Question(user_id="nobody", k=4),
        Question(user_id="u9", k=1),
    ]
    found = with_index(exact, index(64)).answer(questions)
    for answer, expected in zip(found, exact.answer(questions), strict=True):
        assert [item for item, _ in answer.items] == [item for item, _ in expected.items]
        scores = [score for _, score in expected.items]
        assert [score for _, score in answer.items] == pytest.approx(scores, abs=1e-4)
        assert answer.source == expected.source
    assert [len(answer.items) for answer in found] == [15, 3, 30, 20, 0, 4, 1]


@pytest.mark.parametrize("k", [400, 1000])
def test_one_list_with_too_few_items_is_no_answer(k: int) -> None:
    """Where the lists hold less than is asked for, all items are looked at."""
    users = np.arange(0, N_USERS, 3)
    found = with_index(shelves(), index(1)).top(users, k)
    exact = shelves().top(users, k)
    assert torch.equal(found[0], exact[0])
    assert torch.equal(found[1], exact[1])


def test_long_histories_may_take_all_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexed_catalogue, "MOST_HIDDEN", 5)
    everybody = np.arange(N_USERS)
    assert_same(with_index(shelves(), index(64)).top(everybody, 10), shelves().top(everybody, 10))


def test_users_are_asked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    together = with_index(shelves(), index(2)).top(np.arange(N_USERS), 100)
    monkeypatch.setattr(indexed_catalogue, "CHUNK", 7)
    apart = with_index(shelves(), index(2)).top(np.arange(N_USERS), 100)
    torch.testing.assert_close(apart[0], together[0], rtol=1e-5, atol=1e-5)


def test_the_stated_recall_is_what_brute_force_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FEWEST_PROBES", 1)
    monkeypatch.setattr(indexing, "CHEAP", 0)
    built = build_index(shelves())
    assert 0.99 <= built.facts.recall_at_10 < 1
    assert built.facts.lists == n_lists(N_ITEMS) == 256
    assert built.facts.users == N_USERS
    ids = shelves().user_ids
    pairs = zip(
        with_index(shelves(), built).recommend(ids),
        shelves().recommend(ids),
        strict=True,
    )
    hits = [len({*dict(found.items)} & {*dict(exact.items)}) for found, exact in pairs]
    assert sum(hits) / (10 * N_USERS) == pytest.approx(built.facts.recall_at_10, abs=1e-9)


def test_vectors_without_neighbourhoods_get_no_index() -> None:
    """Then a question would have to look into most lists."""
    rng = np.random.default_rng(0)
    users, items = np.arange(500), rng.integers(0, 5000, 500)
    ids = [str(u) for u in users], [str(i) for i in range(5000)]
    history = Interactions.from_codes(users, items, users, None, *ids)
    model = new_model(history, TrainConfig(dim=64), torch.device("cpu"))
    model.initialize(torch.Generator().manual_seed(0))
    built = build_index(Recommender(model, history))
    assert built.facts.probes <= indexing.MOST * built.facts.lists
    assert built.facts.recall_at_10 < 0.9
    assert not indexing.is_good_enough(built)


def test_equal_scores_are_equally_good() -> None:
    best = torch.tensor([[3.0, 2.0, 1.0], [1.0, -torch.inf, -torch.inf]])
    found = torch.tensor([[3.0, 1.0, 1.0], [1.0, -torch.inf, -torch.inf]])
    assert recall_at_k(found, best) == 1.0
    assert recall_at_k(found - 0.5, best) == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    ("n_items", "lists"), [(1, 1), (3, 3), (100_000, 1024), (1_000_000, 4096), (10**9, 16_384)]
)
def test_number_of_lists(n_items: int, lists: int) -> None:
    assert n_lists(n_items) == lists


def test_items_that_are_all_the_same() -> None:
    lists = sort_into_lists(np.ones((50, 5), np.float32), 8)
    assert np.isfinite(lists.points).all()
    assert lists.of_items.shape == (50,)


def test_it_is_stored_and_answers_as_before(tmp_path: Path) -> None:
    model, history = made()
    built = index(4)
    save(tmp_path, model, history, {}, index=built)
    stored = load(tmp_path)
    assert "index.safetensors" in stored_files(tmp_path)
    assert stored.index is not None
    assert stored.index.facts == built.facts
    before = with_index(shelves(), built).top(np.arange(N_USERS), 20)
    after = with_index(Recommender(stored.model, stored.history), stored.index)
    for one, other in zip(before, after.top(np.arange(N_USERS), 20), strict=True):
        assert torch.equal(one, other)
    save(tmp_path, model, history, {})
    assert load(tmp_path).index is None


@pytest.mark.parametrize(
    "change", [{"lists": 7}, {"probes": 0}, {"probes": 99}, {"recall_at_10": None}]
)
def test_an_index_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, float | None]
) -> None:
    save(tmp_path, *made(), {}, index=index(4))
    path = tmp_path / "model_meta.json"
    meta = json.loads(path.read_text())
    facts = {
        name: value for name, value in {**meta["index"], **change}.items() if value is not None
    }
    path.write_text(json.dumps({**meta, "index": facts}))
    with pytest.raises(CheckpointError, match="does not fit this version of recsys"):
        load(tmp_path)


def test_an_index_of_other_items_is_refused(tmp_path: Path) -> None:
    save(tmp_path, trained().model, trained().history, {}, index=index(4))
    with pytest.raises(CheckpointError, match="does not sort 30 items of dim 8 into lists"):
        load(tmp_path)


def test_threads_may_ask_the_same_index() -> None:
    recommender = with_index(shelves(), index(4))
    questions = [Question(history=[item]) for item in shelves().item_ids[:200]]
    expected, found = recommender.answer(questions), {}

    def ask(thread: int) -> None:
        found[thread] = recommender.answer(questions)

    threads = [threading.Thread(target=ask, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(4)] == [expected] * 4


def test_the_exact_one_stays_exact() -> None:
    behind = with_index(shelves(), index(4))
    assert (shelves().index, behind.index) == (None, index(4).facts)
    assert behind.flop < shelves().flop


def test_what_the_index_cannot_find_costs_as_much_as_exact_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recommending, "ID_FLOP", 0)
    exact, behind = shelves(), with_index(shelves(), index(4))
    few = tuple(exact.item_ids[:3])
    cheap = [Question(history=few), Question("u1"), Question("nobody"), Question("u5", exclude=few)]
    assert behind.flop_of(cheap) == 4 * behind.flop
    assert exact.flop_of(cheap) == 4 * exact.flop
    monkeypatch.setattr(indexed_catalogue, "MOST_HIDDEN", 35)
    many = tuple(exact.item_ids[:36])
    for question in (
        Question(history=many),
        Question("u1", exclude=many),
        Question("u0"),  # has nearly all items
        Question("u1", k=1000),
        Question("u1", only=few),
    ):
        assert behind.flop_of([question]) == exact.flop
        assert behind.flop_of([]) == 0
    assert behind.flop_of([Question("u1"), Question("u0")]) == behind.flop + exact.flop


def test_long_lists_of_ids_cost_their_look_up() -> None:
    ids = shelves().item_ids[:100]
    asked = [Question(history=ids, exclude=ids), Question("u1")]
    assert shelves().flop_of(asked) == 2 * shelves().flop + 200 * recommending.ID_FLOP
