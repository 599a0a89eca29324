"""Batching: questions that arrive together are answered by one matrix product."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from hpo.serving.reply_cache import Replies
from recsys.retrieval import Answer, Question, Recommender
from recsys.training import FLOP_PER_THREAD

# Larger products run in a thread, so that the event loop continues to read requests. For smaller
# ones the hand-over would cost more than the product: 50 MFLOP take one core about 2 ms.
INLINE_FLOP = 50e6


@dataclass(frozen=True, eq=False)
class Served:
    """A model that answers, with its version and its cached replies.

    Attributes:
        version: version number; a recreated registry may give the same number to another model.
        run_id: run id of the version, different for every model.
        recommender: the model.
        replies: cached replies of this model.
    """

    version: str
    run_id: str
    recommender: Recommender
    replies: Replies = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "replies", Replies(self.version))


@dataclass(frozen=True, eq=False)
class _Waiting:
    questions: Sequence[Question]
    reply: asyncio.Future[tuple[list[Answer], str]]


class Batcher:
    """A collector of questions: while a product runs in the thread, the next batch grows.

    All methods belong to one event loop. One model answers all questions of a call: the return
    value of `current()` when the batch of the call begins.

    Args:
        current: returns the model that answers now.
        most_threads: most threads of one product; None: PyTorch's number stays as it is.
    """

    def __init__(self, current: Callable[[], Served], most_threads: int | None = None) -> None:
        self._current, self._most_threads = current, most_threads
        self._waiting: list[_Waiting] = []
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recommend")

    async def answer(self, questions: Sequence[Question]) -> tuple[list[Answer], str]:
        """Return one answer to each question, in order, and the version that gave the answers."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(questions, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._begin)  # the batch takes in all requests that have arrived by then
        return await waiting.reply

    def _begin(self) -> None:
        batch, self._waiting = self._waiting, []
        served = self._current()
        recommender = served.recommender
        questions = [question for waiting in batch for question in waiting.questions]
        if recommender.flop_of(questions) <= INLINE_FLOP:
            try:
                _settle(batch, served.version, self._answer(recommender, questions))
            except Exception as error:
                _fail(batch, error)
            self._go_on()
            return
        work = asyncio.get_running_loop().run_in_executor(
            self._thread, self._answer, recommender, questions
        )
        work.add_done_callback(lambda done: self._finish(batch, served.version, done))

    def _answer(self, recommender: Recommender, questions: Sequence[Question]) -> list[Answer]:
        """Return the answers, computed by as many threads as this model can use.

        The number is set here, because it belongs to the thread that calls PyTorch, and because
        the next champion may be larger or smaller.
        """
        if self._most_threads is not None:
            useful = int(recommender.flop / FLOP_PER_THREAD)
            threads = max(1, min(self._most_threads, useful))
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
        return recommender.answer(questions)

    def _finish(
        self, batch: Sequence[_Waiting], version: str, done: asyncio.Future[list[Answer]]
    ) -> None:
        if done.cancelled():
            _fail(batch, asyncio.CancelledError())
        elif error := done.exception():
            _fail(batch, error)
        else:
            _settle(batch, version, done.result())
        self._go_on()

    def _go_on(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            asyncio.get_running_loop().call_soon(self._begin)


def _settle(batch: Sequence[_Waiting], version: str, answers: Sequence[Answer]) -> None:
    start = 0
    for waiting in batch:
        end = start + len(waiting.questions)
        if not waiting.reply.done():  # the client may have gone
            waiting.reply.set_result((list(answers[start:end]), version))
        start = end


def _fail(batch: Sequence[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.reply.done():
            waiting.reply.set_exception(error)
