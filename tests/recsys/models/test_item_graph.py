"""Sparse weights between items against dense products, in one part and in many."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.models import item_graph
from recsys.models.item_graph import cosine_edges, owned, walk_edges
from tests.support import reference
from tests.support.examples import random_log


def log(seed: int = 5) -> Interactions:
    return random_log(np.random.default_rng(seed), n_items=60, n=500, timed=False)


def joined(parts: object) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[call-overload]


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.7, 0.4), (0.0, 1.0)])
def test_walks_keep_the_likeliest_ends(alpha: float, beta: float) -> None:
    seen = log()
    source, end, weight = joined(walk_edges(owned(seen), 7, alpha, beta))
    expected = reference.walks(seen, alpha, beta)
    found = np.zeros_like(expected)
    found[source, end] = weight
    for item, row in enumerate(expected):
        kept = found[item] > 0
        assert kept.sum() == min(7, (row > 0).sum())
        np.testing.assert_allclose(found[item][kept], row[kept], rtol=1e-6)
        assert row[~kept].max() <= row[kept].min(initial=np.inf) * (1 + 1e-6)


@pytest.mark.parametrize("most", [1, 100])
def test_parts_of_the_catalogue_change_no_bit(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    has = owned(log())
    whole = joined(walk_edges(has, 5, 0.7, 0.4)), joined(cosine_edges(has, 5))
    monkeypatch.setattr(item_graph, "PAIRS_AT_ONCE", most)
    parts = joined(walk_edges(has, 5, 0.7, 0.4)), joined(cosine_edges(has, 5))
    for one, other in zip(whole, parts, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)


def test_of_equal_ends_the_first_in_the_catalogue_count() -> None:
    seen = Interactions.from_ids(["u"] * 6, list("abcdef"))
    source, end, _ = joined(walk_edges(owned(seen), 2, 1.0, 0.0))
    assert end[source == 0].tolist() == [1, 2]
    assert end[source == 5].tolist() == [0, 1]


def test_nothing_in_common_gives_no_edge() -> None:
    seen = Interactions.from_ids(list("abc"), list("xyz"))
    assert len(joined(walk_edges(owned(seen), 5, 1.0, 0.0))[0]) == 0


def test_long_histories_are_cut_to_what_may_be_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    users = ["long"] * 50 + ["short"] * 3
    seen = Interactions.from_ids(users, [f"i{i:02}" for i in [*range(50), *range(3)]])
    monkeypatch.setattr(item_graph, "MAX_WALKS", 10**2 + 3**2)
    source, end, _ = joined(walk_edges(owned(seen), 50, 1.0, 0.0))
    pairs = {(int(j), int(i)) for j, i in zip(source, end, strict=True)}
    assert {(j, i) for j in range(3) for i in range(3) if i != j} <= pairs  # of the short one all
    assert 10 * 9 <= len(pairs) <= 10 * 9 + 3 * 2
    again = joined(walk_edges(owned(seen), 50, 1.0, 0.0))
    np.testing.assert_array_equal(end, again[1])
