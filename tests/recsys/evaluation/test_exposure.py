"""Coverage, novelty and Gini index against their definitions written with loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.data.interactions import Interactions, Repeats
from recsys.data.splitting import Holdout, split
from recsys.evaluation.evaluator import Evaluator
from recsys.evaluation.exposure import COVERAGE, GINI, NOVELTY, exposure
from tests.support.examples import random_log

CPU = torch.device("cpu")


class Table:
    """A scorer of stored scores."""

    def __init__(self, scores: Tensor) -> None:
        self.table = scores

    def scores(self, users: Tensor) -> Tensor:
        return self.table[users].clone()


def lists_of(scores: np.ndarray, holdout: Holdout) -> list[list[int]]:
    """The ten best new items of every user with a question."""
    found = []
    for user in sorted(set(holdout.relevant.users.tolist())):
        has: set[int] = set()
        if holdout.seen.repeats == "drop":
            has = set(holdout.seen.items[holdout.seen.users == user].tolist())
        order = [int(item) for item in np.argsort(-scores[user]) if int(item) not in has]
        found.append(order[:10])
    return found


def by_loops(lists: list[list[int]], seen: Interactions) -> dict[str, float]:
    """The definitions: unions, logarithms, and mean absolute differences for the Gini index."""
    pairs = list(zip(seen.users.tolist(), seen.items.tolist(), strict=True))
    bits = []
    for shown in lists:
        have = [max(1, len({user for user, other in pairs if other == item})) for item in shown]
        n_users = len({user for user, _ in pairs})
        bits.append(sum(-math.log2(count / n_users) for count in have) / len(shown))
    views = [sum(item in shown for shown in lists) for item in range(seen.n_items)]
    apart = sum(abs(one - other) for one in views for other in views)
    return {
        COVERAGE: len({item for shown in lists for item in shown}) / seen.n_items,
        NOVELTY: sum(bits) / len(bits),
        GINI: apart / (2 * seen.n_items * sum(views)),
    }


@pytest.mark.parametrize("n_items", [40, 2000])  # with and without blocks of scores
@pytest.mark.parametrize("repeats", ["drop", "keep"])
def test_what_is_shown_equals_loops(repeats: Repeats, n_items: int) -> None:
    log = random_log(np.random.default_rng(1))
    names = [*log.item_ids, *(f"new {i}" for i in range(n_items - log.n_items))]
    parts = [log.users, log.users], [log.items, log.items], [log.times, log.times]
    users, items, times = (np.concatenate(part) for part in parts)  # everybody returns
    data = Interactions.from_codes(users, items, times, None, log.user_ids, names, repeats=repeats)
    holdout = split(data).tuning
    scores = torch.rand((data.n_users, data.n_items), generator=torch.Generator().manual_seed(0))
    evaluator = Evaluator(holdout, CPU, shown=True)
    found = evaluator.evaluate(Table(scores))
    expected = by_loops(lists_of(scores.numpy(), holdout), holdout.seen)
    assert found.shown == pytest.approx(expected)
    assert found.mean().as_dict().items() >= found.shown.items()
    chunks = Evaluator(  # of one user; no other metric asks for so long a list
        holdout, CPU, chunk_bytes=1, names=["mrr"], shown=True
    )
    assert chunks.evaluate(Table(scores)).shown == found.shown


def test_nothing_is_measured_unless_asked_for() -> None:
    holdout = split(random_log(np.random.default_rng(1))).tuning
    scores = torch.rand(holdout.seen.n_users, holdout.seen.n_items)
    assert Evaluator(holdout, CPU).evaluate(Table(scores)).shown == {}


def test_an_even_and_an_uneven_show() -> None:
    owned_by = np.array([4, 2, 1, 0])
    even = exposure(np.array([[0, 1], [2, 3]]), owned_by, 4)
    assert even == {COVERAGE: 1.0, NOVELTY: (0 + 1 + 2 + 2) / 4, GINI: 0.0}
    uneven = exposure(np.array([[1, -1], [1, -1], [-1, -1]]), owned_by, 4)
    assert uneven == {COVERAGE: 0.25, NOVELTY: 1.0, GINI: 0.75}


def test_who_has_everything_is_shown_nothing() -> None:
    nothing = exposure(np.full((3, 10), -1), np.array([3, 3]), 3)
    assert nothing == {COVERAGE: 0.0, NOVELTY: 0.0, GINI: 0.0}
