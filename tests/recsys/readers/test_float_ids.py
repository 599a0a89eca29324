"""Whole floats in Parquet are integers as ids, and no id is silently another."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.errors import DataError
from recsys.readers.columns import Columns
from recsys.readers.reader import read_dataset

NUMBERS = [[12.0, 10.0, 3.0], [-0.0, 7.0, 8.0]]


@pytest.mark.parametrize("numbers", NUMBERS)
def test_whole_floats_in_parquet_are_the_ids_that_they_are_in_a_csv(
    tmp_path: Path, numbers: list[float]
) -> None:
    frame = pl.DataFrame({"user": ["a", "b", "c"], "item": numbers, "ts": [1, 2, 3]})
    frame.write_parquet(tmp_path / "log.parquet")
    frame.write_csv(tmp_path / "log.csv")
    found, expected = (read_dataset(tmp_path / f"log.{end}") for end in ("parquet", "csv"))
    assert found.interactions.item_ids == expected.interactions.item_ids
    assert found.notes == expected.notes


def test_whole_floats_beside_others_join_a_table_of_integers(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": ["a", "b", "c"], "item": [12.0, 1.5, 3.0]})
    frame.write_parquet(tmp_path / "interactions.parquet")
    pl.DataFrame({"item": [3, 12]}).write_parquet(tmp_path / "items.parquet")
    data = read_dataset(tmp_path)
    assert data.item_table is not None
    assert sorted(data.item_table["item_id"]) == ["12", "3"]
    assert data.interactions.item_ids == ("1.5", "12", "3")
    assert "ids: 'item': whole numbers written as floats, read as integers" in data.notes
    frame.write_parquet(tmp_path / "items.parquet")
    table = read_dataset(tmp_path).item_table
    assert table is not None
    assert sorted(table["item_id"]) == ["1.5", "12", "3"]


@pytest.mark.parametrize("other", [pl.Int64, pl.String])
def test_floats_in_one_part_and_no_floats_in_another_are_integers(
    tmp_path: Path, other: pl.DataType
) -> None:
    for number, dtype in enumerate((pl.Float64, other)):
        ids = pl.Series([3, 12]).cast(pl.Int64).cast(dtype)
        pl.DataFrame({"user": [f"a{number}", "b"], "item": ids}).write_parquet(
            tmp_path / f"part-{number}.parquet"
        )
    assert read_dataset(tmp_path).interactions.item_ids == ("3", "12")


def test_floats_may_be_the_words_of_events(tmp_path: Path) -> None:
    rows = {"user": ["a", "b"], "item": ["x", "y"], "what": [1.0, 4.0]}
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
    columns = Columns(event="what", event_weights={"1": 2.0, "4": 3.0})
    weights = read_dataset(tmp_path / "log.parquet", columns).interactions.weights
    assert weights is not None
    assert weights.tolist() == [2.0, 3.0]


@pytest.mark.parametrize(("dtype", "size"), [(pl.Float64, 2**53), (pl.Float32, 2**24)])
def test_floats_too_large_to_be_exact_are_refused(
    tmp_path: Path, dtype: pl.DataType, size: int
) -> None:
    for side in ("interactions", "items"):
        for ids in ([1, size - 1, 3], [1, size, -2 * size]):
            item = pl.Series(ids).cast(dtype)
            for name in ("interactions", "items"):
                small = pl.Series([1, 2, 3])
                pl.DataFrame(
                    {"user": ["a", "b", "c"], "item": item if name == side else small}
                ).write_parquet(tmp_path / f"{name}.parquet")
            if ids[1] < size:
                assert read_dataset(tmp_path).interactions.n_items == 3
                continue
            with pytest.raises(DataError) as error:
                read_dataset(tmp_path)
            assert str(error.value) == (
                f"{tmp_path / side}.parquet: row 2, 3, column 'item': the id is a float so large "
                "that its last digits are lost; write the column as integers or as text"
            )
