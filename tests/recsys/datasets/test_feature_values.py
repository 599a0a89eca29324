"""How the cells of a column become codes."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from recsys.datasets import encoding as feature_values
from recsys.datasets.encoding import BUCKETS, as_number, encode, guess_kind


def bags(column: pl.Series, kind: str) -> list[list[int]]:
    coded = encode(column, kind)
    found: list[list[int]] = [[] for _ in range(len(column))]
    for row, code in zip(coded.rows, coded.codes, strict=True):
        found[row].append(int(code))
    return [sorted(bag) for bag in found]


def test_categories_by_frequency_and_blanks_are_nothing() -> None:
    column = pl.Series("c", ["b", " B ", "a", "a", "a", "", None, "only here", "NaN"])
    assert bags(column, "category") == [[1], [1], [0], [0], [0], [], [], [], []]
    assert encode(column, "category").size == 2


def test_the_order_of_rows_changes_no_code() -> None:
    words = [f"w{number % 7}" for number in range(50)]
    order = np.random.default_rng(0).permutation(50)
    shuffled = bags(pl.Series("c", [words[i] for i in order]), "category")
    straight = bags(pl.Series("c", words), "category")
    assert shuffled == [straight[i] for i in order]


@pytest.mark.parametrize(
    "cells",
    [
        ["x|y", "y|x|x", "x", "y | x", None],
        ["x;y", "y;x", "x", "y; x", ""],
        ["x, y", "y,x", "x", "y ,x", None],
        ["x y", "y x", "x", "y  x", None],
        [["x", "y"], ["y", "x"], ["x"], ["y", "x", ""], []],
    ],
)
def test_lists_however_they_are_written(cells: list[object]) -> None:
    assert bags(pl.Series("c", cells), "list") == [[0, 1], [0, 1], [0], [0, 1], []]


def test_words_of_a_text() -> None:
    cells = [
        "RED Spotty-Cup, of tea",
        "cup (red)",
        "Größe 12",
        "größe 12 x",
        "it's",
        "a x",
        None,
        "",
    ]
    assert bags(pl.Series("c", cells), "words") == [[1, 3], [1, 3], [0, 2], [0, 2], [], [], [], []]
    assert encode(pl.Series("c", cells), "words").size == 4


def test_kinds_are_guessed() -> None:
    genres = [f"{a}{mark}{b}" for mark in ("|",) for a in "abcdef" for b in "uvwxyz"]
    for mark in ("|", ";", ", ", " "):
        cells = [cell.replace("|", mark) for cell in genres]
        assert guess_kind(pl.Series("genres", cells)) == "list"
    for name, cells, kind in (
        ("city", ["New York, NY", "Boston, MA", "New York, NY"], "category"),
        ("stars", [1, 2, 3] * 20, "category"),
        ("age", list(range(60)), "number"),
        ("brand_id", list(range(60)), "category"),
        ("year", [*map(str, range(1940, 2000)), "unknown"], "number"),
        ("joined", [f"2024-{month:02}-{day:02}" for month in range(1, 4) for day in range(1, 29)],
         "number"),
        ("joined", [date(2024, 1, day) for day in range(1, 29)], "number"),
        ("price", [1.5, 2.5], "number"),
        ("member", [True, False], "category"),
        ("tags", [["a"], ["b", "c"]], "list"),
    ):  # fmt: skip
        assert guess_kind(pl.Series(name, cells)) == kind, (name, cells[:2])


def test_numbers_fall_into_quantiles() -> None:
    values = np.random.default_rng(0).lognormal(size=1000)
    coded = encode(pl.Series("price", values), "number")
    assert coded.size == BUCKETS
    assert np.bincount(coded.codes).tolist() == [1000 // BUCKETS] * BUCKETS
    code_of = dict(zip(coded.rows.tolist(), coded.codes.tolist(), strict=True))
    in_order = [code_of[row] for row in np.argsort(values)]
    assert sum(a != b for a, b in pairwise(in_order)) == BUCKETS - 1


def test_numbers_that_are_none_have_no_code() -> None:
    column = pl.Series("year", ["1990", "1990", "2001", "2001", "V", None, "inf"])
    assert bags(column, "number")[4:] == [[], [], []]
    assert as_number(column).null_count() == 3
    assert encode(pl.Series("year", ["V", "W"]), "number").size == 0


def test_a_large_vocabulary_is_hashed_and_frequent_values_stay_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_values, "LIMIT", 10)
    cells = [f"rare{number}" for number in range(40) for _ in "ab"] + ["often", "also"] * 9
    coded = encode(pl.Series("c", cells), "category")
    assert (coded.size, coded.codes.min(), coded.codes.max()) == (10, 0, 9)
    (alone,) = set(coded.codes[coded.rows == len(cells) - 2])
    assert {cells[row] for row in coded.rows[coded.codes == alone]} == {"often"}
    again = encode(pl.Series("c", cells[::-1]), "category")
    assert sorted(again.codes) == sorted(coded.codes)


def test_unshared_is_the_share_of_rows_with_values_of_their_own() -> None:
    assert encode(pl.Series("c", ["a", "a", "b", None]), "category").unshared == pytest.approx(
        1 / 3
    )
    assert encode(pl.Series("c", [None, ""]), "category").unshared == 1.0
