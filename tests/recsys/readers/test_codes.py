"""Codes lead back to the words, however the batches were made."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from recsys.readers.categorical import CodeColumn

PLAIN = st.integers(0, 99).map(str)
ODD = st.sampled_from(["07", "-3", "", "a", "1.0", "+1", "1" * 30, str(2**26), str(2**63)])


def decoded(batches: list[pl.Series]) -> list[str]:
    column = CodeColumn("id")
    for batch in batches:
        column.add(batch)
    words, codes = column.finish()
    assert len(set(words)) == len(words)
    assert len(codes) == sum(map(len, batches))
    assert set(codes.tolist()) == set(range(len(words)))
    return [words[code] for code in codes]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.lists(PLAIN, max_size=9) | st.lists(PLAIN | ODD, max_size=9), max_size=6))
def test_text(batches: list[list[str]]) -> None:
    found = decoded([pl.Series(batch, dtype=pl.String) for batch in batches])
    assert found == [word for batch in batches for word in batch]


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([5, 0, 5, 2**31 - 1], dtype=pl.Int32),
        pl.Series([3, None, 3], dtype=pl.Int16),
        pl.Series([-1, 7], dtype=pl.Int64),
        pl.Series([2**64 - 1, 1], dtype=pl.UInt64),
        pl.Series([4, 4, 1], dtype=pl.UInt8),
    ],
)
def test_integers_mean_their_digits(values: pl.Series) -> None:
    expected = ["" if value is None else str(value) for value in values.to_list()]
    assert decoded([pl.Series([8], dtype=values.dtype), values, values.head(1)]) == [
        "8",
        *expected,
        expected[0],
    ]
