"""Filters leave the rows that a plain polars script leaves, with a vocabulary of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.data import Dataset, Filters, Interactions, ReadyMade, filtered, split
from recsys.datasets.registry import load_dataset
from recsys.errors import DataError


def by_script(frame: pl.DataFrame, rating: float, users: int, items: int) -> pl.DataFrame:
    rows = frame.filter(pl.col("rating") >= rating).sort("timestamp", maintain_order=True)
    rows = rows.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    while True:
        kept = rows.filter(
            pl.len().over("user_id") >= users,
            pl.len().over("item_id") >= items,
        )
        if len(kept) == len(rows):
            return rows
        rows = kept


def ratings() -> pl.DataFrame:
    random = np.random.RandomState(3)
    n = 4000
    return pl.DataFrame(
        {
            # Ids of numbers and one word: without that one, they sort in another order.
            "user_id": [f"{number}" if number else "zero" for number in random.zipf(1.3, n) % 300],
            "item_id": (random.zipf(1.4, n) % 400).astype(str),
            "rating": random.randint(1, 6, n),
            "timestamp": random.randint(0, 2000, n) + 1_500_000_000,
        }
    )


@pytest.mark.parametrize(
    ("rating", "users", "items"), [(4, 5, 5), (3, 2, 10), (1, 7, 1), (5, 1, 4), (4, 1, 1)]
)
def test_the_rows_are_those_of_a_polars_script(
    tmp_path: Path, rating: float, users: int, items: int
) -> None:
    frame = ratings()
    frame.write_csv(tmp_path / "log.csv")
    data = load_dataset(str(tmp_path / "log.csv"), filters=Filters(rating, users, items))
    rows = by_script(frame, rating, users, items)
    assert 0 < len(rows) < len(frame)
    expected = Interactions.from_ids(
        rows["user_id"], rows["item_id"], rows["timestamp"] * 1_000_000
    )
    assert data.interactions.fingerprint == expected.fingerprint


def test_one_line_tells_what_was_dropped(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("user,item\na,x\na,y\nb,x\nb,y\nc,x\nc,z\nd,z\n")
    data = load_dataset(str(file), filters=Filters(min_user_rows=2, min_item_rows=2))
    assert data.notes[-1] == (
        "filter: --min-user-rows 2 --min-item-rows 2 left out 3 rows, 2 users and 1 item in 3 "
        "rounds; 4 rows, 2 users and 2 items stay"
    )


def test_another_filter_is_another_split() -> None:
    one, other = (
        split(load_dataset("demo", filters=Filters(min_item_rows=n)).interactions).fingerprint
        for n in (1, 12)
    )
    assert one != other


def test_parts_of_a_ready_made_split_stay_with_their_rows() -> None:
    users = ["1", "1", "2", "2", "word", "10", "10", "10"]
    items = ["a", "b", "a", "b", "b", "a", "b", "c"]
    rows = Interactions.from_ids(users, items, range(8))
    pairs = {
        (rows.user_ids[u], rows.item_ids[i]) for u, i in zip(rows.users, rows.items, strict=True)
    }
    assert len(pairs) == 8
    parts = np.array([rows.item_ids[item] == "b" for item in rows.items], np.int8)
    found = filtered(
        Dataset("x", rows, ready_made=ReadyMade(parts, 0)),
        Filters(min_user_rows=2, min_item_rows=2),
    )
    kept = found.interactions
    assert kept.user_ids == ("1", "2", "10")  # by number, since the word is gone
    assert kept.item_ids == ("a", "b")
    assert found.parts is not None
    assert found.parts.tolist() == [kept.item_ids[item] == "b" for item in kept.items]


def test_filters_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"demo: --min-user-rows 9999 leave none of [\d,]+ rows"):
        load_dataset("demo", filters=Filters(min_user_rows=9999))
    with pytest.raises(DataError, match="demo: has no ratings; leave --min-rating out"):
        load_dataset("demo", filters=Filters(min_rating=4))
    with pytest.raises(DataError, match="must be 1 or more"):
        load_dataset("demo", filters=Filters(min_item_rows=0))
