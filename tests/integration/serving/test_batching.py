"""Batches are answered in the right thread, by as many threads as help."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest
import torch

from hpo.serving import batching
from hpo.serving.batching import Batcher, Served
from recsys.retrieval import approximate
from recsys.retrieval.index import IndexFacts, ItemIndex
from recsys.retrieval.index_builder import with_index
from recsys.retrieval.ivf import sort_into_lists
from recsys.retrieval.recommender import Recommender
from recsys.retrieval.requests import Answer, Question
from tests.support.trained import trained

KNOWN = Question("u1", k=2)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Model:
    """A model of some size, which notes by how many threads it is asked."""

    def __init__(self, flop: float) -> None:
        self.flop = flop
        self.threads: list[int] = []

    def flop_of(self, questions: Sequence[Question]) -> float:
        return self.flop * len(questions)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        self.threads.append(torch.get_num_threads())
        return [Answer((), "model") for _ in questions]


@pytest.mark.parametrize("inline_flop", [0, 1e12])
def test_each_model_has_the_threads_that_it_can_use(
    monkeypatch: pytest.MonkeyPatch, inline_flop: float
) -> None:
    """In the event loop and in the thread; a champion may be larger than the one before."""
    monkeypatch.setattr(batching, "INLINE_FLOP", inline_flop)
    monkeypatch.setattr(batching, "FLOP_PER_THREAD", 100)
    torch.set_num_threads(3)
    models = [Model(1), Model(250), Model(10_000), Model(1)]
    served = [Served(str(n), str(n), model) for n, model in enumerate(models)]  # type: ignore[arg-type]

    async def ask(most_threads: int | None) -> None:
        now: list[Served] = []
        batcher = Batcher(lambda: now[-1], most_threads)
        for one in served:
            now.append(one)
            await batcher.answer([KNOWN])

    asyncio.run(ask(3))
    assert [model.threads for model in models] == [[1], [2], [3], [1]]
    torch.set_num_threads(3)
    asyncio.run(ask(None))
    assert [model.threads[1:] for model in models] == [[3]] * 4


def test_exact_answers_behind_an_index_do_not_hold_up_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A question that hides many items is answered out of the whole catalogue."""
    monkeypatch.setattr(approximate, "MOST_HIDDEN", 20)
    history = trained().parts.interactions
    exact = Recommender(trained().model, history)
    lists = sort_into_lists(exact.catalogue.points(), 2)
    behind = with_index(exact, ItemIndex(lists, IndexFacts(2, 2, 1.0, 1)))
    monkeypatch.setattr(behind, "flop", 1.0)
    monkeypatch.setattr(behind, "_exact_flop", 1e9)
    answered: list[str] = []
    answer = Recommender.answer

    def noted(self: Recommender, questions: list[Question]) -> list[Answer]:
        answered.append(threading.current_thread().name)
        return answer(self, questions)

    monkeypatch.setattr(Recommender, "answer", noted)

    async def ask() -> None:
        batcher = Batcher(lambda: Served("1", "1", behind))
        for exclude in ((), ("i1",) * 21):
            await batcher.answer([Question(history=["i1", "i2"], exclude=exclude, k=2)])

    asyncio.run(ask())
    assert answered == [threading.current_thread().name, "recommend_0"]
