"""Questions that arrive together are answered together: one product for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from recsys.questions import Answer, Question
from recsys.recommender import Recommender

# Above, a product runs in a thread, so that the event loop goes on reading requests. Below, the
# hand-over would cost more than the product: 50 MFLOP take one core about 2 ms.
INLINE_FLOP = 50e6
# Answers that a model keeps: of known users, some megabytes. A user who comes back within a visit
# asks the same again.
REMEMBERED = 10_000
REMEMBERED_K = 50  # items of an answer, at most


@dataclass(frozen=True, eq=False)
class Served:
    """A model that answers, and which version it is."""

    version: str
    recommender: Recommender
    _answers: dict[tuple[str, int], Answer] = field(default_factory=dict, init=False)

    def remembered(self, question: Question) -> Answer | None:
        """What was answered to the same question before, if it is still known.

        Nothing in a model changes, so this is what it would answer now.
        """
        if question.user_id is None or question.exclude:
            return None
        return self._answers.get((question.user_id, question.k))

    def remember(self, question: Question, answer: Answer) -> None:
        """Keep the answer to a known user; the oldest one goes when there are too many."""
        if question.user_id is None or question.exclude or question.k > REMEMBERED_K:
            return
        if answer.source == "model":  # others have ids without end
            if len(self._answers) >= REMEMBERED:
                del self._answers[next(iter(self._answers))]
            self._answers[question.user_id, question.k] = answer


@dataclass(frozen=True, eq=False)
class _Waiting:
    questions: Sequence[Question]
    reply: asyncio.Future[tuple[list[Answer], Served]]


class Batcher:
    """Collects questions; while a product runs in the thread, the next batch grows.

    All methods belong to one event loop. All questions of one call are answered by the same
    model: the one that `current()` names when its batch begins.
    """

    def __init__(self, current: Callable[[], Served]) -> None:
        self._current = current
        self._waiting: list[_Waiting] = []
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recommend")

    async def answer(self, questions: Sequence[Question]) -> tuple[list[Answer], str]:
        """One answer to each question, in order, and the version that gave them."""
        alone = questions[0] if len(questions) == 1 else None
        if alone is not None and (known := self._current().remembered(alone)):
            return [known], self._current().version
        loop = asyncio.get_running_loop()
        waiting = _Waiting(questions, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._begin)  # after the requests that have arrived by now
        answers, served = await waiting.reply
        if alone is not None:
            served.remember(alone, answers[0])
        return answers, served.version

    def _begin(self) -> None:
        batch, self._waiting = self._waiting, []
        served = self._current()
        recommender = served.recommender
        questions = [question for waiting in batch for question in waiting.questions]
        if len(questions) * recommender.flop <= INLINE_FLOP:
            try:
                _settle(batch, served, recommender.answer(questions))
            except Exception as error:
                _fail(batch, error)
            self._go_on()
            return
        work = asyncio.get_running_loop().run_in_executor(
            self._thread, recommender.answer, questions
        )
        work.add_done_callback(lambda done: self._finish(batch, served, done))

    def _finish(
        self, batch: Sequence[_Waiting], served: Served, done: asyncio.Future[list[Answer]]
    ) -> None:
        if done.cancelled():
            _fail(batch, asyncio.CancelledError())
        elif error := done.exception():
            _fail(batch, error)
        else:
            _settle(batch, served, done.result())
        self._go_on()

    def _go_on(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            asyncio.get_running_loop().call_soon(self._begin)


def _settle(batch: Sequence[_Waiting], served: Served, answers: Sequence[Answer]) -> None:
    start = 0
    for waiting in batch:
        end = start + len(waiting.questions)
        if not waiting.reply.done():  # the client may have gone
            waiting.reply.set_result((list(answers[start:end]), served))
        start = end


def _fail(batch: Sequence[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.reply.done():
            waiting.reply.set_exception(error)
