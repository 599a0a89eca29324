"""items.npz beside the interactions: arrays of items by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.datasets.features import with_features
from recsys.errors import DataError
from recsys.readers.reader import read_dataset


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    rows = pl.DataFrame({"user_id": list("aabbcc"), "item_id": [1, 2, 2, 3, 3, 1]})
    rows.write_csv(tmp_path / "interactions.csv")
    return tmp_path


def save(folder: Path, **arrays: Any) -> None:
    np.savez(folder / "items.npz", **arrays)


def test_arrays_alone_and_beside_a_table_say_the_same(shop: Path) -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]], np.float32)
    save(shop, item_id=np.array([1, 3, 9]), embedding=vectors, price=np.array([2.5, 1.0, 9.0]))
    alone = read_dataset(shop)
    assert alone.item_table is not None
    assert alone.item_table.columns == ["item_id", "embedding", "price"]
    (shop / "items.csv").write_text("item_id,brand\n2,x\n3,x\n", encoding="utf-8")
    both = read_dataset(shop)
    assert both.item_table is not None
    assert both.item_table.drop("embedding").rows() == [
        ("2", "x", None), ("3", "x", 1.0), ("1", None, 2.5), ("9", None, 9.0)
    ]  # fmt: skip
    for data, items in ((alone, ["embedding"]), (both, ["embedding", "brand"])):
        found = with_features(data, items=items, users=[]).interactions.item_features
        assert found is not None
        assert found.vectors is not None
        by_id = dict(zip(data.interactions.item_ids, found.vectors.tolist(), strict=True))
        assert by_id["2"] == [0, 0], "it has no vector"
        np.testing.assert_allclose(by_id["1"], -np.array(by_id["3"]))


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"embedding": np.eye(3)}, "no array item_id of texts or whole numbers"),
        ({"item_id": np.eye(3), "embedding": np.eye(3)}, "no array item_id of texts"),
        ({"item_id": np.arange(3)}, "holds no array beside item_id"),
        ({"item_id": np.arange(3), "v": np.eye(2)}, r"'v' has shape \(2, 2\) .* 3 rows"),
        ({"item_id": np.arange(2), "v": np.zeros((2, 2, 2))}, r"'v' has shape \(2, 2, 2\)"),
        ({"item_id": ["1", "1"], "v": np.eye(2)}, "empty or repeated ids"),
        ({"item_id": ["1", " "], "v": np.eye(2)}, "empty or repeated ids"),
        ({"item_id": np.array(["1", None], object), "v": np.eye(2)}, "cannot be read"),
    ],
)
def test_wrong_arrays_are_refused(shop: Path, arrays: dict[str, Any], expected: str) -> None:
    save(shop, **arrays)
    with pytest.raises(DataError, match=rf"items\.npz: .*{expected}"):
        read_dataset(shop)


def test_other_files_are_refused_with_the_cure(shop: Path) -> None:
    (shop / "items.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match=r"items\.npz: cannot be read .* numpy\.savez"):
        read_dataset(shop)
    (shop / "items.npz").unlink()
    np.save(shop / "items.npy", np.eye(3))
    with pytest.raises(DataError, match=r"items\.npy: an array without ids; .* numpy\.savez"):
        read_dataset(shop)


@pytest.mark.parametrize("kind", ["?", "i1", "u8", "f2", "f8", ">f4", ">i8", "longdouble", "U3"])
def test_every_kind_of_number_is_read(shop: Path, kind: str) -> None:
    (shop / "items.csv").write_text("item_id,brand\n1,x\n2,x\n", encoding="utf-8")
    numbers = np.array([[0, 1], [1, 1], [1, 0]]).astype(kind)
    save(shop, item_id=np.array([1, 2, 3]), price=numbers[:, 0], embedding=numbers)
    data = read_dataset(shop)
    assert data.item_table is not None
    assert not data.item_table["price"].dtype.is_nested()
    assert data.item_table["price"].dtype != pl.Object
    vectors = [] if kind in "?U3" else ["embedding:vector"]
    with_features(data, items=["price:category", *vectors], users=[])


def test_a_name_in_both_places_is_refused(shop: Path) -> None:
    (shop / "items.csv").write_text("item_id,price\n1,2\n", encoding="utf-8")
    save(shop, item_id=np.arange(3), price=np.arange(3.0))
    with pytest.raises(DataError, match=r"items\.npz: price is in the item table, too"):
        read_dataset(shop)
