"""Threads that share a write: each gets its own answer, and nothing is written twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from hpo.execution.store.group_commit import GroupCommit, Results

Work = Callable[[], Results[int]]


def at_once(work: Work) -> Results[int]:
    return work()


def test_each_caller_gets_its_own_answer() -> None:
    groups: list[list[int]] = []
    first_writes, others_wait = threading.Event(), threading.Event()
    turn = threading.Lock()

    def write(items: Sequence[int]) -> Results[int]:
        groups.append(list(items))
        first_writes.set()
        assert others_wait.wait(20)
        return [ValueError(f"{item} is odd") if item % 2 else 10 * item for item in items]

    def in_turn(work: Work) -> Results[int]:
        with turn:
            return work()

    shared = GroupCommit(write, in_turn, lambda: 0.0)
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(shared.put, 0)
        assert first_writes.wait(20)
        others = [threads.submit(shared.put, item) for item in range(1, 9)]
        while len(shared._waiting) < len(others):
            threading.Event().wait(0.01)
        others_wait.set()
    assert first.result() == 0
    assert [len(group) for group in groups] == [1, 8], "those that waited are one group"
    for item, answer in enumerate(others, 1):
        if item % 2:
            with pytest.raises(ValueError, match=f"{item} is odd"):
                answer.result()
        else:
            assert answer.result() == 10 * item


def test_a_group_that_broke_is_written_again_as_it_was() -> None:
    calls: list[list[int]] = []

    def write(items: Sequence[int]) -> Results[int]:
        calls.append(list(items))
        if len(calls) == 1:
            raise ConnectionError
        return list(items)

    def twice(work: Work) -> Results[int]:
        try:
            return work()
        except ConnectionError:
            return work()

    assert GroupCommit(write, twice, lambda: 0.0).put(7) == 7
    assert calls == [[7], [7]]


def test_an_error_of_the_write_goes_to_everyone_and_the_next_group_is_written() -> None:
    broken = True

    def write(items: Sequence[int]) -> Results[int]:
        if broken:
            raise ConnectionError("gone")
        return list(items)

    shared = GroupCommit(write, at_once, lambda: 0.5)
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(shared.put, item) for item in range(4)]
    for answer in answers:
        with pytest.raises(ConnectionError, match="gone"):
            answer.result()
    broken = False
    assert shared.put(3) == 3
