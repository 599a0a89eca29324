"""The generated shop: same bytes everywhere, and something in it to learn."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from recsys.datasets.demo import DEMO_SEED, demo_dataset, demo_files, demo_sha256
from recsys.readers.reader import read_dataset

SHA256 = "6dbf9d948b6b42afdaad337b00539879eafcea3e4f82c940d715f52b16556cde"


@pytest.fixture(scope="module")
def demo():
    return demo_dataset()


def test_bytes_never_change():
    assert demo_sha256() == SHA256
    assert demo_sha256(DEMO_SEED + 1) != SHA256


@pytest.mark.parametrize("repeats", ["drop", "keep"])
def test_files_and_dataset_are_one(tmp_path, repeats):
    for name, content in demo_files().items():
        (tmp_path / name).write_bytes(content)
    read, made = read_dataset(tmp_path, repeats=repeats), demo_dataset(repeats=repeats)
    assert read.interactions.fingerprint == made.interactions.fingerprint
    assert read.user_table.equals(made.user_table)
    assert read.item_table.equals(made.item_table)


def test_size_and_columns(demo):
    assert (demo.interactions.n_users, demo.interactions.n_items) == (800, 500)
    assert 20_000 < len(demo_dataset(repeats="keep").interactions) < 30_000
    assert np.bincount(demo.interactions.users).min() >= 2
    assert set(demo.interactions.weights.tolist()) <= {1.0, 2.0, 3.0, 5.0}
    assert demo.user_table.columns == ["user_id", "region", "age_group"]
    assert demo.item_table.schema == {
        "item_id": pl.String,
        "category": pl.String,
        "price": pl.Float64,
    }


def test_order_of_events_teaches_far_more_than_popularity(demo):
    """Counting "what follows what" must find 3 times as many held-out items as bestsellers."""
    data = demo.interactions
    histories = [
        data.items[start:end].tolist()
        for start, end in zip(data.offsets, data.offsets[1:], strict=False)
    ]
    train = [items[: len(items) - len(items) // 5] for items in histories]
    held_out = [set(items[len(items) - len(items) // 5 :]) for items in histories]
    popular = Counter(item for items in train for item in items)
    follows = defaultdict(Counter)
    for items in train:
        for now, later in pairwise(items):
            follows[now][later] += 1

    def recall(rank) -> float:
        hits = []
        for items, wanted in zip(train, held_out, strict=True):
            if wanted:
                seen = set(items)
                top = [item for item, _ in rank(items).most_common(60) if item not in seen][:10]
                hits.append(len(wanted & set(top)) / len(wanted))
        return sum(hits) / len(hits)

    by_order = recall(lambda items: sum((follows[item] for item in items[-3:]), Counter()))
    by_popularity = recall(lambda _: popular)
    assert by_order > 3 * by_popularity
