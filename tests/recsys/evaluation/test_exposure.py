"""Coverage, novelty and Gini index against their definitions written with loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.data.interactions import Interactions, Repeats
from recsys.data.splitting import Holdout, split
from recsys.evaluation import exposure as module
from recsys.evaluation.evaluator import Evaluator
from recsys.evaluation.exposure import COVERAGE, GINI, NOVELTY, exposure, owners
from tests.support.examples import random_log

CPU = torch.device("cpu")


class Table:
    """A scorer of stored scores."""

    def __init__(self, scores: Tensor) -> None:
        self.table = scores

    def scores(self, users: Tensor) -> Tensor:
        return self.table[users].clone()


def lists_of(scores: np.ndarray, holdout: Holdout, k: int = 10) -> list[list[int]]:
    """The k best new items of every user with a question."""
    found = []
    for user in sorted(set(holdout.relevant.users.tolist())):
        has: set[int] = set()
        if holdout.seen.repeats == "drop":
            has = set(holdout.seen.items[holdout.seen.users == user].tolist())
        order = [int(item) for item in np.argsort(-scores[user]) if int(item) not in has]
        found.append(order[:k])
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
    evaluator = Evaluator(holdout, CPU, shown=(10,))
    found = evaluator.evaluate(Table(scores))
    expected = by_loops(lists_of(scores.numpy(), holdout), holdout.seen)
    assert found.shown == pytest.approx(expected)
    assert found.mean().as_dict().items() >= found.shown.items()
    chunks = Evaluator(  # of one user; no other metric asks for so long a list
        holdout, CPU, chunk_bytes=1, names=["mrr"], shown=(10,)
    )
    assert chunks.evaluate(Table(scores)).shown == found.shown


def test_longer_and_shorter_lists_equal_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)  # several blocks of users
    holdout = split(random_log(np.random.default_rng(3))).tuning
    shape = (holdout.seen.n_users, holdout.seen.n_items)
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    found = Evaluator(holdout, CPU, shown=(3, 10, 1000)).evaluate(Table(scores)).shown
    for k in (3, 10, 1000):  # 1000: everything that is left
        expected = by_loops(lists_of(scores.numpy(), holdout, k), holdout.seen)
        names = {name: name.replace("_at_10", f"_at_{k}") for name in expected}
        of_k = {name: found[name] for name in names.values()}
        assert of_k == pytest.approx({names[name]: value for name, value in expected.items()})


# RecTools 0.19.0 on the lists below: CatalogCoverage(k, normalize=True) and MeanInvUserFreq(k)
RECTOOLS = {1: (0.23, 4.02932079607784), 10: (0.93, 4.17845602486206), 25: (1.0, 4.202419010125518)}


def test_coverage_and_novelty_are_those_of_rectools() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 60, 900), (rng.random(900) ** 2 * 200).astype(int)
    lists = np.stack([rng.permutation(200)[:25] for _ in range(50)])
    names = [[str(i) for i in range(n)] for n in (60, 200)]
    seen = Interactions.from_codes(users, items, None, None, *names)
    n_users = len(np.unique(users))
    found = exposure(lists, owners(seen), n_users, (1, 10, 25))
    for k, (coverage, novelty) in RECTOOLS.items():
        assert found[f"coverage_at_{k}"] == coverage
        assert found[f"novelty_at_{k}"] == pytest.approx(novelty, rel=1e-12)


def gini_of_recbole(views: np.ndarray) -> float:
    """RecBole's GiniIndex.get_gini, from its formula over the items that were shown.

    Items that nobody was shown count as the first, with 0 views each.
    """
    total = np.sort(views[views > 0])
    index = np.arange(len(views) - len(total) + 1, len(views) + 1)
    return float(np.sum((2 * index - len(views) - 1) * total) / total.sum() / len(views))


def test_the_gini_index_is_that_of_recbole() -> None:
    rng = np.random.default_rng(0)
    shown = (rng.random((40, 10)) ** 3 * 90).astype(int)
    found = exposure(shown, np.ones(100, np.int64), 40)
    assert found[GINI] == pytest.approx(gini_of_recbole(np.bincount(shown.ravel(), minlength=100)))


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
