"""Fast orders are those of numpy's own sorts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from recsys.data import sorting as ordering
from recsys.data.sorting import firsts, lexsorted

ROWS = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 3)), max_size=60)
FEW = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=60)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array(rows, np.int32).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


@pytest.fixture(params=[1, 7, 1 << 14])
def chunk(request: pytest.FixtureRequest) -> int:
    return request.param


@given(rows=ROWS | FEW)
def test_lexsorted_is_lexsort(rows: list[tuple[int, int]]) -> None:
    users, key = columns(rows)
    for values in (key, key.astype(np.int64) * 10**17, key / 7, -key):
        assert (lexsorted(users, values) == np.lexsort((values, users))).all()


@given(rows=ROWS | FEW)
def test_firsts_are_those_of_unique(rows: list[tuple[int, int]]) -> None:
    users, items = columns(rows)
    order = np.argsort(users, kind="stable")
    users, items = users[order], items[order]
    for codes in (items, items + (2**31 - 4)):
        _, expected = np.unique(np.stack([users, codes]), axis=1, return_index=True)
        assert np.flatnonzero(firsts(users, codes)).tolist() == sorted(expected.tolist())


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(ordering, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    users = rng.integers(0, 30, 500).astype(np.int32)
    times, items = rng.integers(0, 9, 500), rng.integers(0, 9, 500).astype(np.int32)
    order = lexsorted(users, times)
    assert (order == np.lexsort((times, users))).all()
    kept = set()
    for row, is_first in zip(order, firsts(users[order], items[order]), strict=True):
        pair = (int(users[row]), int(items[row]))
        assert is_first == (pair not in kept)
        kept.add(pair)
