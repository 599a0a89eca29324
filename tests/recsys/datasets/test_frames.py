"""Tables in memory are read as the same tables on disk are."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from recsys.data import Filters
from recsys.datasets.frames import write_tables
from recsys.datasets.registry import load_dataset
from recsys.errors import DataError
from recsys.readers.columns import Columns

LOG = {
    "user_id": [7, 7, 7, 12, 12, 12],
    "item_id": ["a", "b", "c", "c", "a", "d"],
    "timestamp": [5, 3, 9, 1, 2, 8],
}


def on_disk(folder: Path) -> str:
    path = folder / "log.csv"
    pl.DataFrame(LOG).write_csv(path)
    return load_dataset(path).interactions.fingerprint


@pytest.mark.parametrize(
    "data",
    [
        LOG,
        {name: np.array(column) for name, column in LOG.items()},
        pl.DataFrame(LOG),
        pl.DataFrame(LOG).to_arrow(),
        pd.DataFrame(LOG, index=[3, 1, 4, 2, 9, 5]),
        tuple(LOG.values()),
        [np.array(column) for column in LOG.values()],
    ],
    ids=["dict", "arrays", "polars", "arrow", "pandas", "tuple", "list of arrays"],
)
def test_every_form_is_the_file(data: Any, tmp_path: Path) -> None:
    dataset = load_dataset(data)
    assert dataset.interactions.fingerprint == on_disk(tmp_path)
    assert dataset.interactions.user_ids == ("7", "12")
    assert dataset.name == "data"


def test_columns_with_other_names_are_named() -> None:
    other = pd.DataFrame(LOG).rename(columns={"user_id": "who", "item_id": "took"})
    named = load_dataset(other, columns=Columns(user="who", item="took"))
    assert named.interactions.fingerprint == load_dataset(LOG).interactions.fingerprint


def test_integers_with_a_gap_are_integers_all_the_same() -> None:
    users = pd.Series([7, 7, 12, 12, None], dtype="float64").dropna()
    dataset = load_dataset((users, pd.Series(["a", "b", "c", "a"])))
    assert dataset.interactions.user_ids == ("7", "12")


def test_times_of_pandas_are_times() -> None:
    days = pd.to_datetime(["2024-01-02", "2024-01-01"] * 3)
    times = load_dataset(pd.DataFrame(LOG).assign(timestamp=days)).interactions.times
    assert times is not None
    assert set(times.tolist()) == {1_704_067_200_000_000, 1_704_153_600_000_000}


def test_side_tables_go_with_the_log() -> None:
    items = pd.DataFrame({"item_id": ["a", "b", "c", "d"], "genre": ["x", "y", "x", "y"]})
    dataset = load_dataset(LOG, items=items)
    assert dataset.item_table is not None
    assert dataset.item_table["genre"].to_list() == ["x", "y", "x", "y"]
    with pytest.raises(DataError, match="go with a table of interactions"):
        load_dataset("demo", items=items)


def test_objects_are_their_texts_as_those_of_a_database_are() -> None:
    users = [uuid.UUID(int=number) for number in (7, 7, 12)]
    for column in (users, np.array(users, object)):
        dataset = load_dataset((column, ["a", "b", "a"]))
        assert dataset.interactions.user_ids == (str(users[0]), str(users[2]))


def test_an_array_of_objects_is_the_column_of_its_values(tmp_path: Path) -> None:
    arrays = {name: np.array(column, object) for name, column in LOG.items()}
    assert load_dataset(arrays).interactions.fingerprint == on_disk(tmp_path)


MIXED = ([1, "ana@shop.example", 2], ["ana@shop.example", 1, 2])


@pytest.mark.parametrize("users", [*MIXED, [["ana@shop.example"], 1], [{"a": 1}, {"a": "ana@s.x"}]])
@pytest.mark.parametrize("form", [list, lambda users: np.array(users, object), pd.Series])
def test_a_column_of_several_types_is_refused_without_a_cell_of_it(users: Any, form: Any) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset({"user_id": form(users), "item_id": [*range(len(users))]})
    assert str(caught.value) == "data: a column has values of several types; use one"


@pytest.mark.parametrize("users", [[1, 2**70], [-1, 2**63], [1, 2**128], [1, -(2**70)]])
@pytest.mark.parametrize("form", [list, lambda users: np.array(users, object), pd.Series])
def test_a_number_beyond_64_bits_is_told_from_several_types(users: Any, form: Any) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset({"user_id": form(users), "item_id": [1, 2]})
    assert str(caught.value) == "data: a column has a whole number beyond 64 bits; use text"


def test_what_no_table_holds_is_refused_with_what_one_does() -> None:
    nested = [[uuid.UUID(int=1)], [uuid.UUID(int=2)]]
    with pytest.raises(DataError, match="^data: a column has values that no table holds; use text"):
        load_dataset({"user_id": [1, 2], "item_id": [1, 2], "tags": nested})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (([1, 2],), "^data: 1 columns; give"),
        ({"a": [1, 2], "b": [1]}, "^data: is no table of columns of one length"),
        (pl.DataFrame({"who": [1, 2], "item_id": [1, 2]}), "^data: no user column; columns found"),
        (pd.DataFrame({"user_id": [1, "x"], "item_id": [1, 2]}), "^data: "),
        (5, "^data: is no table"),
    ],
)
def test_errors_name_the_argument_and_no_file(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(data)
    assert "parquet" not in str(caught.value)


def test_the_same_tables_have_the_same_folder(tmp_path: Path) -> None:
    first, again = write_tables(tmp_path, LOG), write_tables(tmp_path, pl.DataFrame(LOG))
    other = write_tables(tmp_path, {**LOG, "timestamp": [1, 2, 3, 4, 5, 6]})
    assert first == again != other
    assert [path.name for path in first.iterdir()] == ["interactions.parquet"]


def test_an_error_notes_the_arguments_for_the_options_that_it_names() -> None:
    with pytest.raises(DataError) as caught:
        load_dataset({"wer": [1, 2], "was": [1, 2]})
    (note,) = caught.value.__notes__
    assert note == "in recsys.load_dataset: columns=recsys.Columns(user='wer', item='was')"
    with pytest.raises(DataError) as caught:
        load_dataset({"user": [1, 1], "item": [1, 2], "rating": [1, 2]}, filters=Filters(9.0))
    assert "filters=recsys.Filters(min_rating=" in caught.value.__notes__[0]


def test_columns_may_be_a_dict() -> None:
    data = {"wer": [1, 2], "was": [1, 2]}
    found = load_dataset(data, columns={"user": "wer", "item": "was"})
    assert found.columns == "columns: user 'wer', item 'was'"
    assert repr(found).endswith("2 rows, no times)")
    with pytest.raises(DataError, match="no such role: who; roles are user, item, time"):
        load_dataset(data, columns={"who": "wer"})


def test_weights_of_events_may_be_a_dict() -> None:
    rows = pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "event": ["pv", "view"]})
    columns = {"event_weights": {"pv": 3}}
    weights = load_dataset(rows, columns=columns).interactions.weights
    assert weights is not None
    assert sorted(weights.tolist()) == [1.0, 3.0]
    with pytest.raises(DataError, match="event_weights: pv: must be a finite number from 0 on"):
        load_dataset(rows, columns={"event_weights": {"pv": -1}})


def test_a_query_is_no_part_of_a_table() -> None:
    rows = pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"]})
    with pytest.raises(DataError, match="sql goes with the URL of a database"):
        load_dataset(rows, sql="SELECT 1")
