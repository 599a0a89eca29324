"""Ids are text, exactly as it stands in the file."""

from __future__ import annotations

import polars as pl

from recsys.readers.reader import read_dataset
from tests.support.interaction_files import CSV, pairs, write_file


def test_ids_are_text_exactly(tmp_path):
    ids = ["007", "7", "1e3", "ñandú", "a b", "-1", "inf", "NA"]
    lines = "".join(f" {name} ,i{number % 2}\n" for number, name in enumerate(ids))
    data = read_dataset(write_file(tmp_path, "log.csv", "user,item\n" + lines)).interactions
    assert list(data.user_ids) == sorted(ids)
    assert data.times is None


def test_whole_numbers_written_as_floats_are_integers_and_told(tmp_path):
    rows = "".join(f"{user}.0,{user % 2}.0,{user}\n" for user in (2, 10, 3))
    write_file(tmp_path, "interactions.csv", "user,item,ts\n" + rows)
    write_file(tmp_path, "users.csv", "user,age\n2.0,1\n10.0,2\n")
    data = read_dataset(tmp_path)
    assert data.interactions.user_ids == ("2", "3", "10")
    assert data.interactions.item_ids == ("0", "1")
    assert data.user_table["user_id"].to_list() == ["2", "10"]
    assert data.notes == ("ids: 'user', 'item': whole numbers written as floats, read as integers",)


def test_quotes_are_no_part_of_an_id(tmp_path):
    rows = '"12",a\n12,b\n"007","a"\n7,b\n'
    data = read_dataset(write_file(tmp_path, "log.csv", "user,item\n" + rows)).interactions
    assert data.user_ids == ("007", "12", "7")
    assert pairs(data) == [("007", "a"), ("12", "a"), ("12", "b"), ("7", "b")]
    file = write_file(tmp_path, "floats.csv", 'user,item\n"12.0",a\n"13.0",b\n')
    assert read_dataset(file).interactions.user_ids == ("12", "13")


def test_versions_stay_as_they_are_written(tmp_path):
    file = write_file(tmp_path, "log.csv", "user,item\na,1.0\nb,1.5\n")
    assert read_dataset(file).interactions.item_ids == ("1.0", "1.5")


def test_parquet_numbers_as_ids(tmp_path):
    pl.DataFrame({"user": [1.0, 2.0, 10.0], "item": [30, 4, 5]}).write_parquet(
        tmp_path / "interactions.parquet"
    )
    data = read_dataset(tmp_path).interactions
    assert data.user_ids == ("1", "2", "10")
    assert data.item_ids == ("4", "5", "30")


def test_ids_that_differ_in_blanks_only_are_one(tmp_path):
    write_file(tmp_path, "interactions.csv", CSV)
    write_file(tmp_path, "items.csv", 'item_id,price\nx,1\n"x ",2\n')
    assert read_dataset(tmp_path).item_table.rows() == [("x", 1)]
