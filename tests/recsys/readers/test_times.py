"""Times in every unit and spelling, and columns that hold no times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from recsys.readers.reader import read_dataset
from tests.support.interaction_files import write_file

ONE_TIME = "user,item,ts\na,x,7\na,y,7\nb,x,7\n"


def test_one_time_for_all_rows_is_no_time_and_told(tmp_path):
    data = read_dataset(write_file(tmp_path, "log.csv", ONE_TIME))
    again = read_dataset(write_file(tmp_path, "again.csv", "user,item,ts\nb,x,7\na,y,7\na,x,7\n"))
    assert data.interactions.times is None
    assert data.interactions.fingerprint == again.interactions.fingerprint
    assert "no times: all rows have one and the same time, so what is held out" in data.notes[-1]


def test_one_time_in_each_file_of_a_split_is_a_time_unless_it_is_the_same(tmp_path):
    write_file(tmp_path, "train.csv", ONE_TIME)
    write_file(tmp_path, "test.csv", "user,item,ts\nb,y,8\n")
    assert read_dataset(tmp_path).interactions.times is not None
    write_file(tmp_path, "test.csv", "user,item,ts\nb,y,7\n")
    data = read_dataset(tmp_path)
    assert data.interactions.times is None
    assert data.notes[-1] == "no times: all rows have one and the same time"


def test_users_of_one_time_are_told(tmp_path):
    rows = "a,x,7\na,y,7\nb,x,7\nb,y,8\nc,x,9\n"
    data = read_dataset(write_file(tmp_path, "log.csv", "user,item,ts\n" + rows))
    assert data.interactions.times is not None
    assert "times: 1 of 2 users with two rows or more have the same time" in data.notes[-1]


@pytest.mark.parametrize("factor", [1, 1_000, 1_000_000, 1_000_000_000])
def test_unit_of_numbers_is_told_by_their_size(tmp_path, factor):
    times = [1_600_000_000 * factor, 1_600_000_001 * factor]
    for suffix in ("", ".0"):
        lines = [f"{user},x{user},{time}{suffix}" for user, time in enumerate(times)]
        file = write_file(tmp_path, "log.csv", "\n".join(["user,item,ts", *lines]))
        found = read_dataset(file).interactions.times
        assert found.tolist() == [1_600_000_000_000_000, 1_600_000_001_000_000]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_days_written_as_numbers(tmp_path, suffix):
    frame = pl.DataFrame({"user": [1, 2], "item": [1, 2], "date": [20241025, 19991231]})
    file = tmp_path / f"log.{suffix}"
    frame.write_csv(file) if suffix == "csv" else frame.write_parquet(file)
    assert read_dataset(file).interactions.times.tolist() == [
        1_729_814_400_000_000,
        946_598_400_000_000,
    ]


def test_fractions_of_seconds(tmp_path):
    file = write_file(tmp_path, "log.csv", "user,item,ts\na,x,1.5\nb,y,-2\nb,x,3.000001\n")
    assert read_dataset(file).interactions.times.tolist() == [1_500_000, -2_000_000, 3_000_001]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-10-25 15:58:39", datetime(2024, 10, 25, 15, 58, 39, tzinfo=UTC)),
        ("2024-10-25T15:58:39", datetime(2024, 10, 25, 15, 58, 39, tzinfo=UTC)),
        ("2024-10-25T15:58:39Z", datetime(2024, 10, 25, 15, 58, 39, tzinfo=UTC)),
        ("2024-10-25 15:58:39 UTC", datetime(2024, 10, 25, 15, 58, 39, tzinfo=UTC)),
        ("2024-10-25T15:58:39.250Z", datetime(2024, 10, 25, 15, 58, 39, 250_000, tzinfo=UTC)),
        ("2024-10-25 15:58:39.123456789", datetime(2024, 10, 25, 15, 58, 39, 123_456, tzinfo=UTC)),
        ("2024-10-25T15:58:39+02:00", datetime(2024, 10, 25, 13, 58, 39, tzinfo=UTC)),
        ("2024-10-25 15:58:39.5-0330", datetime(2024, 10, 25, 19, 28, 39, 500_000, tzinfo=UTC)),
        ("2024-10-25 15:58:39+02", datetime(2024, 10, 25, 13, 58, 39, tzinfo=UTC)),
        ("2024-10-25T15:58+02:00", datetime(2024, 10, 25, 13, 58, tzinfo=UTC)),
        ("2024-10-25 15:58", datetime(2024, 10, 25, 15, 58, tzinfo=UTC)),
        ("2024-10-25", datetime(2024, 10, 25, tzinfo=UTC)),
        ("2024/10/25 15:58:39", datetime(2024, 10, 25, 15, 58, 39, tzinfo=UTC)),
        ("25/10/2024", datetime(2024, 10, 25, tzinfo=UTC)),
        ("25/10/2024 15:58", datetime(2024, 10, 25, 15, 58, tzinfo=UTC)),
        ("25/1/2024 7:58:39", datetime(2024, 1, 25, 7, 58, 39, tzinfo=UTC)),
        ("10/25/2024 15:58", datetime(2024, 10, 25, 15, 58, tzinfo=UTC)),
        ("1-25-2024", datetime(2024, 1, 25, tzinfo=UTC)),
        ("05/05/2024", datetime(2024, 5, 5, tzinfo=UTC)),
        ("25-10-2024 15:58:39", datetime(2024, 10, 25, 15, 58, 39, tzinfo=UTC)),
        ("25.10.2024", datetime(2024, 10, 25, tzinfo=UTC)),
        ("1950-01-01", datetime(1950, 1, 1, tzinfo=UTC)),
    ],
)
def test_dates(tmp_path, text, expected):
    # Beside another form: str() of a Python datetime drops a fraction that is zero.
    file = write_file(tmp_path, "log.csv", f"user,item,ts\na,x,2020-01-01 00:00:00\nb,y,{text}\n")
    found = read_dataset(file).interactions.times
    since = expected - datetime(1970, 1, 1, tzinfo=UTC)
    assert found[1] == since // timedelta(microseconds=1)


@pytest.mark.parametrize("mark", ["/", "-", "."])
@pytest.mark.parametrize(
    ("proof", "expected"), [("13{}02", date(2024, 6, 5)), ("02{}13", date(2024, 5, 6))]
)
def test_one_date_settles_the_order_of_the_column(tmp_path, mark, proof, expected):
    days = ["05{}06", "2020-01-01", proof, "05{}06", ""]
    days = [day.format(mark) + f"{mark}2024 23:30" if "{" in day else day for day in days[:-1]]
    rows = [f"u{n},x{n},{day}" for n, day in enumerate(days)]
    file = write_file(tmp_path, "log.csv", "\n".join(["user,item,ts", *rows]))
    found = read_dataset(file).interactions.times
    since = datetime(2024, expected.month, expected.day, 23, 30, tzinfo=UTC) - datetime(
        1970, 1, 1, tzinfo=UTC
    )
    assert found[[0, 3]].tolist() == [since // timedelta(microseconds=1)] * 2
    assert len(set(found.tolist())) == 3


@pytest.mark.parametrize(
    "values",
    [
        [date(2024, 10, 25), date(2024, 10, 26)],
        [datetime(2024, 10, 25), datetime(2024, 10, 26)],  # noqa: DTZ001 (naive on purpose)
        [datetime(2024, 10, 25, tzinfo=UTC), datetime(2024, 10, 26, tzinfo=UTC)],
        ["2024-10-25", "2024-10-26"],
        [1729814400, 1729900800],
        [1729814400.0, 1729900800.0],
    ],
)
def test_parquet_times(tmp_path, values):
    frame = pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "fecha": values})
    for unit in ("ms", "ns") if frame["fecha"].dtype == pl.Datetime else (None,):
        column = frame["fecha"] if unit is None else frame["fecha"].dt.cast_time_unit(unit)
        frame.with_columns(column).write_parquet(tmp_path / "interactions.parquet")
        times = read_dataset(tmp_path).interactions.times
        assert times.tolist() == [1_729_814_400_000_000, 1_729_900_800_000_000]
