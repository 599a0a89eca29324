"""Every form of file that recsys reads."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.readers.columns import SPELLINGS, Columns
from recsys.readers.reader import read_dataset
from recsys.readers.tables import table
from tests.support.paths import SHARED

ROWS = [("a", "x", 100), ("b", "y", 200), ("a", "y", 300)]
CSV = "user_id,item_id,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in ROWS)
MICROSECONDS = [100_000_000, 300_000_000, 200_000_000]  # of ROWS, in order of (user, time)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    if name.endswith(".gz"):
        data = gzip.compress(data)
    (folder / name).write_bytes(data)
    return folder / name


def pairs(data: Interactions) -> list[tuple[str, str]]:
    return [
        (data.user_ids[u], data.item_ids[i]) for u, i in zip(data.users, data.items, strict=True)
    ]


def expect_rows(data: Interactions) -> None:
    assert pairs(data) == [("a", "x"), ("a", "y"), ("b", "y")]
    assert data.times.tolist() == MICROSECONDS
    assert data.weights is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("interactions.csv", CSV),
        ("interactions.csv.gz", CSV),
        ("interactions.tsv", CSV.replace(",", "\t")),
        ("interactions.tsv.gz", CSV.replace(",", "\t")),
        ("interacciones.csv", CSV.replace(",", ";")),
        ("Interactions.CSV", CSV),
        ("ratings.csv", CSV.replace("user_id,item_id", "userId,movieId")),
        ("shop.inter", CSV.replace(",", "\t").replace("id\t", "id:token\t")),
        ("shop.inter.gz", CSV.replace(",", "\t").replace("timestamp", "timestamp:float")),
        ("u.data", "a\tx\t5\t100\nb\ty\t3\t200\na\ty\t1\t300\n"),
        ("interactions.csv", "\ufeff" + CSV),
        ("interactions.csv", CSV.replace("\n", "\r\n")),
        ("interactions.csv", "\n \n" + CSV.replace("b,y", "\n  \nb,y") + "\n\n"),
        ("interactions.csv", CSV.replace("\na", '\n"a"')),
        ("interactions.csv", CSV.replace(",", " , ")),
        ("interactions.csv", CSV.rstrip("\n")),
    ],
)
def test_text_forms(tmp_path, name, content):
    file = write(tmp_path, name, content)
    for path in (tmp_path, file):
        expect_rows(read_dataset(path).interactions)


def test_parquet(tmp_path):
    frame = pl.DataFrame(ROWS, schema=["user", "sku", "ts"], orient="row")
    frame.write_parquet(tmp_path / "interactions.parquet")
    expect_rows(read_dataset(tmp_path).interactions)
    frame.with_columns(pl.col("user").cast(pl.Categorical)).write_parquet(tmp_path / "own.parquet")
    expect_rows(read_dataset(tmp_path / "own.parquet").interactions)


def test_wildcards_in_a_name_are_letters(tmp_path):
    write(tmp_path, "events[1]*.csv", CSV)
    expect_rows(read_dataset(tmp_path / "events[1]*.csv").interactions)


@pytest.mark.parametrize("role", ["user", "item", "time", "event"])
def test_every_spelling(tmp_path, role):
    words = {"user": "a b", "item": "x y", "time": "100 200", "event": "view compra"}
    usual = {"user": "user_id", "item": "item_id", "time": "timestamp", "event": "event"}
    rows = list(zip(*(word.split() for word in words.values()), strict=True))
    for spelling in SPELLINGS[role]:
        for shown in (spelling, spelling.upper(), spelling.title().replace("_", "")):
            header = ",".join(({**usual, role: shown}).values())
            file = write(tmp_path, "log.csv", "\n".join([header, *map(",".join, rows)]))
            data = read_dataset(file).interactions
            assert pairs(data) == [("a", "x"), ("b", "y")]
            assert data.times is not None
            assert data.weights.tolist() == [1.0, 5.0]


def test_overrides_win_over_spellings(tmp_path):
    file = write(
        tmp_path, "log.csv", "user_id,item_id,date,buyer,what,at\n9,9,9,a,x,1\n9,9,9,b,y,2\n"
    )
    data = read_dataset(file, Columns(user="buyer", item="what", time="at")).interactions
    assert pairs(data) == [("a", "x"), ("b", "y")]
    assert data.times.tolist() == [1_000_000, 2_000_000]


ONE_TIME = "user,item,ts\na,x,7\na,y,7\nb,x,7\n"


def test_one_time_for_all_rows_is_no_time_and_told(tmp_path):
    data = read_dataset(write(tmp_path, "log.csv", ONE_TIME))
    again = read_dataset(write(tmp_path, "again.csv", "user,item,ts\nb,x,7\na,y,7\na,x,7\n"))
    assert data.interactions.times is None
    assert data.interactions.fingerprint == again.interactions.fingerprint
    assert "no times: all rows have one and the same time, so what is held out" in data.notes[-1]


def test_one_time_in_each_file_of_a_split_is_a_time_unless_it_is_the_same(tmp_path):
    write(tmp_path, "train.csv", ONE_TIME)
    write(tmp_path, "test.csv", "user,item,ts\nb,y,8\n")
    assert read_dataset(tmp_path).interactions.times is not None
    write(tmp_path, "test.csv", "user,item,ts\nb,y,7\n")
    data = read_dataset(tmp_path)
    assert data.interactions.times is None
    assert data.notes[-1] == "no times: all rows have one and the same time"


def test_users_of_one_time_are_told(tmp_path):
    rows = "a,x,7\na,y,7\nb,x,7\nb,y,8\nc,x,9\n"
    data = read_dataset(write(tmp_path, "log.csv", "user,item,ts\n" + rows))
    assert data.interactions.times is not None
    assert "times: 1 of 2 users with two rows or more have the same time" in data.notes[-1]


def test_low_ratings_that_are_not_used_are_told(tmp_path):
    rows = "a,x,5,1\na,y,0,2\nb,x,5,3\nb,y,5,4\n"
    data = read_dataset(write(tmp_path, "log.csv", "user,item,rating,ts\n" + rows))
    (told,) = [note for note in data.notes if note.startswith("ratings: column 'rating' is not")]
    assert "(0: 25%, 5: 75%)" in told


def test_a_video_is_an_item(tmp_path):
    file = write(tmp_path, "log.csv", "user_id,video_id\n1,7\n2,8\n")
    assert read_dataset(file).interactions.item_ids == ("7", "8")


def test_ids_are_text_exactly(tmp_path):
    ids = ["007", "7", "1e3", "ñandú", "a b", "-1", "inf", "NA"]
    lines = "".join(f" {name} ,i{number % 2}\n" for number, name in enumerate(ids))
    data = read_dataset(write(tmp_path, "log.csv", "user,item\n" + lines)).interactions
    assert list(data.user_ids) == sorted(ids)
    assert data.times is None


def test_whole_numbers_written_as_floats_are_integers_and_told(tmp_path):
    rows = "".join(f"{user}.0,{user % 2}.0,{user}\n" for user in (2, 10, 3))
    write(tmp_path, "interactions.csv", "user,item,ts\n" + rows)
    write(tmp_path, "users.csv", "user,age\n2.0,1\n10.0,2\n")
    data = read_dataset(tmp_path)
    assert data.interactions.user_ids == ("2", "3", "10")
    assert data.interactions.item_ids == ("0", "1")
    assert data.user_table["user_id"].to_list() == ["2", "10"]
    assert data.notes == ("ids: 'user', 'item': whole numbers written as floats, read as integers",)


def test_quotes_are_no_part_of_an_id(tmp_path):
    rows = '"12",a\n12,b\n"007","a"\n7,b\n'
    data = read_dataset(write(tmp_path, "log.csv", "user,item\n" + rows)).interactions
    assert data.user_ids == ("007", "12", "7")
    assert pairs(data) == [("007", "a"), ("12", "a"), ("12", "b"), ("7", "b")]
    file = write(tmp_path, "floats.csv", 'user,item\n"12.0",a\n"13.0",b\n')
    assert read_dataset(file).interactions.user_ids == ("12", "13")


def test_versions_stay_as_they_are_written(tmp_path):
    file = write(tmp_path, "log.csv", "user,item\na,1.0\nb,1.5\n")
    assert read_dataset(file).interactions.item_ids == ("1.0", "1.5")


def test_parquet_numbers_as_ids(tmp_path):
    pl.DataFrame({"user": [1.0, 2.0, 10.0], "item": [30, 4, 5]}).write_parquet(
        tmp_path / "interactions.parquet"
    )
    data = read_dataset(tmp_path).interactions
    assert data.user_ids == ("1", "2", "10")
    assert data.item_ids == ("4", "5", "30")


@pytest.mark.parametrize("factor", [1, 1_000, 1_000_000, 1_000_000_000])
def test_unit_of_numbers_is_told_by_their_size(tmp_path, factor):
    times = [1_600_000_000 * factor, 1_600_000_001 * factor]
    for suffix in ("", ".0"):
        lines = [f"{user},x{user},{time}{suffix}" for user, time in enumerate(times)]
        file = write(tmp_path, "log.csv", "\n".join(["user,item,ts", *lines]))
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
    file = write(tmp_path, "log.csv", "user,item,ts\na,x,1.5\nb,y,-2\nb,x,3.000001\n")
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
    file = write(tmp_path, "log.csv", f"user,item,ts\na,x,2020-01-01 00:00:00\nb,y,{text}\n")
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
    file = write(tmp_path, "log.csv", "\n".join(["user,item,ts", *rows]))
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


def test_events_become_weights(tmp_path):
    words = ["visto", "Clic", "agregado al carrito", "compra", "add-to-cart", "PURCHASE"]
    lines = "".join(f"u{n},i{n},{word}\n" for n, word in enumerate(words))
    data = read_dataset(write(tmp_path, "log.csv", "user,item,tipo\n" + lines)).interactions
    assert data.weights.tolist() == [1, 2, 3, 5, 3, 5]
    assert Columns().event_weight("dance") is None


def test_returned_goods_are_no_interest_and_leave_no_phantoms(tmp_path):
    rows = "a,x,purchase\nb,y,purchase\na,z,return\nc,x,devolución\n"
    data = read_dataset(write(tmp_path, "log.csv", "user,item,event\n" + rows)).interactions
    assert pairs(data) == [("a", "x"), ("b", "y")]
    assert data.item_ids == ("x", "y")
    assert data.user_ids == ("a", "b")


def test_ratings_and_counts_are_no_weights(tmp_path):
    file = write(tmp_path, "log.csv", "user,item,rating,listens\na,x,5,100\nb,y,1,2\n")
    assert read_dataset(file).interactions.weights is None


def test_repeats(tmp_path):
    file = write(tmp_path, "log.csv", "user,item,ts,event\na,x,9,view\na,x,3,compra\nb,y,1,view\n")
    dropped, kept = (read_dataset(file, repeats=how).interactions for how in ("drop", "keep"))
    assert dropped.weights.tolist() == [5.0, 1.0]
    assert kept.times.tolist() == [3_000_000, 9_000_000, 1_000_000]


def test_what_was_left_out_is_told(tmp_path):
    head = "user_id,item_id,event,when_it_was,price\n"
    rows = "a,x,view,1,2\na,x,buy,2,2\n\nb,y,return,3,2\nb,x,view,4,2\na,y,view,5,2\n"
    path = write(tmp_path, "events.csv", head + rows)
    first, second = read_dataset(path).notes
    assert first == (
        "read: 5 rows; 1 return left out; 1 repeat of a user and item dropped (--repeats keep "
        "keeps them); columns not used: 'when_it_was', 'price'"
    )
    assert second.startswith("no times: no column is recognised as a time, so what is held out")
    assert second.endswith("name it with --time-col")
    timed = read_dataset(path, Columns(time="when_it_was"), "keep")
    assert timed.notes == ("read: 5 rows; 1 return left out; columns not used: 'price'",)


def test_of_the_tables_beside_nothing_is_told(tmp_path):
    path = write(tmp_path, "interactions.csv", "user,item,ts\na,x,1\nb,y,2\n").parent
    write(tmp_path, "users.csv", "user,email\na,a@x.es\n")
    assert read_dataset(path).notes == ()


def test_side_tables(tmp_path):
    write(tmp_path, "interacciones.csv", CSV)
    write(tmp_path, "usuarios.csv", "nombre;id_usuario;edad\nAna;a;31\n;zz;\n")
    write(tmp_path, "productos.tsv.gz", 'id\tprecio\tzip\ttexto\nx\t1.50\t007\t12" disco\n')
    data = read_dataset(tmp_path)
    assert data.user_table.to_dict(as_series=False) == {
        "user_id": ["a", "zz"],
        "nombre": ["Ana", None],
        "edad": [31, None],
    }
    assert data.item_table.rows() == [("x", 1.5, "007", '12" disco')]
    assert data.item_table.columns == ["item_id", "precio", "zip", "texto"]
    assert data.interactions.n_users == 2  # zz is only in the table
    assert "Ana" not in repr(data)


def test_side_tables_come_with_a_file_of_a_known_name_only(tmp_path):
    write(tmp_path, "items.csv", "item_id,price\nx,1\n")
    assert read_dataset(write(tmp_path, "interactions.csv", CSV)).item_table is not None
    assert read_dataset(write(tmp_path, "events.csv", CSV)).item_table is None


def test_an_override_need_not_exist_in_a_side_table(tmp_path):
    write(tmp_path, "interactions.csv", CSV.replace("user_id", "who"))
    write(tmp_path, "users.csv", "user_id,age\na,1\n")
    assert read_dataset(tmp_path, Columns(user="who")).user_table.columns == ["user_id", "age"]


def test_ids_that_differ_in_blanks_only_are_one(tmp_path):
    write(tmp_path, "interactions.csv", CSV)
    write(tmp_path, "items.csv", 'item_id,price\nx,1\n"x ",2\n')
    assert read_dataset(tmp_path).item_table.rows() == [("x", 1)]


def test_official_movielens_folder(tmp_path):
    write(tmp_path, "u.data", "1\t1\t5\t100\n2\t2\t3\t200\n")
    flags = ["0"] * 19
    flags[1] = flags[16] = "1"
    item = "|".join(["1", "Ca\u00f1a (Reed) (1995)", "01-Jan-1995", "", "http://x", *flags])
    write(tmp_path, "u.item", f"{item}\n2|unknown||||1|{'|'.join(['0'] * 18)}\n".encode("latin-1"))
    write(tmp_path, "u.user", "1|24|M|technician|85711\n2|53|F|other|94043\n")
    data = read_dataset(tmp_path)
    assert data.item_table.rows() == [
        ("1", "Caña (Reed)", 1995, "Action|Thriller"),
        ("2", "unknown", None, "unknown"),
    ]
    assert data.user_table.rows() == [("1", 24, "M", "technician"), ("2", 53, "F", "other")]


def test_bare_quotes_in_tab_separated_text(tmp_path):
    file = write(tmp_path, "log.tsv", 'user\titem\tnote\na\tx\t"12" inch\nb\ty\t"open\n')
    assert pairs(read_dataset(file).interactions) == [("a", "x"), ("b", "y")]


def test_line_breaks_in_quotes(tmp_path):
    huge = "long, " * 50_000
    file = write(tmp_path, "big.csv", f'user,item,note\na,x,"{huge}"\n\nb,y,\n')
    assert pairs(read_dataset(file).interactions) == [("a", "x"), ("b", "y")]
    file = write(tmp_path, "log.csv", 'user,item,note\na,x,"one\ntwo, three"\n\nb,y,\n')
    assert pairs(read_dataset(file).interactions) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_batches_do_not_show(tmp_path, monkeypatch, form):
    random = np.random.RandomState(7)
    frame = pl.DataFrame(
        {
            "user": random.randint(0, 500, 20_000).astype(str),
            "item": random.randint(0, 90, 20_000),
            "ts": [f"2024-01-{1 + n % 28:02d} 10:00:{n % 60:02d}{'.5' * (n % 3 == 0)}"
                   for n in range(20_000)],
        }
    )  # fmt: skip
    file = tmp_path / f"log.{form}"
    frame.write_csv(file) if form == "csv" else frame.write_parquet(file)
    prints = []
    for size in (20_000, 997):
        monkeypatch.setattr(table, "_BATCH", size)
        prints.append(read_dataset(file).interactions.fingerprint)
    expected = Interactions.from_ids(
        frame["user"], frame["item"], frame["ts"].str.to_datetime(time_unit="us").to_physical()
    )
    assert prints == [expected.fingerprint] * 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data beside the repository")
@pytest.mark.parametrize(
    ("folder", "users", "items", "rows"),
    [
        ("original", 100, 50, 3_144),
        ("ml-100k", 943, 1_682, 100_000),
        ("ml-latest-small", 671, 9_066, 100_004),
        ("hetrec-lastfm", 1_892, 17_632, 92_834),
    ],
)
def test_real_data(folder, users, items, rows):
    data = read_dataset(SHARED / folder)
    assert (data.interactions.n_users, data.interactions.n_items) == (users, items)
    assert len(data.interactions) == rows
    assert data.item_table.columns[0] == "item_id"


def test_the_columns_used_and_the_range_of_times_are_told(tmp_path):
    rows = "a,x,2024-05-01\na,y,2024-05-03\nb,y,2024-04-30\n"
    timed = read_dataset(write(tmp_path, "timed.csv", "Kunde,Artikel,fecha\n" + rows))
    assert timed.columns == (
        "columns: user 'Kunde', item 'Artikel', time 'fecha'; times from 2024-04-30 to 2024-05-03"
    )
    untimed = read_dataset(write(tmp_path, "untimed.csv", "user,item\na,x\nb,y\n"))
    assert untimed.columns == "columns: user 'user', item 'item'"


def test_columns_of_parquet_may_be_named_by_numbers(tmp_path):
    frame = pl.DataFrame(ROWS, schema=["0", "1", "2"], orient="row")
    frame.write_parquet(tmp_path / "log.parquet")
    expect_rows(read_dataset(tmp_path / "log.parquet", Columns("0", "1", "2")).interactions)
    with pytest.raises(DataError, match="no user column; columns found: '0', '1', '2'") as error:
        read_dataset(tmp_path / "log.parquet")
    assert "first line" not in str(error.value)


@pytest.mark.parametrize("name", ["ratings", "stars", "overall"])
@pytest.mark.parametrize(
    "cells", [[[1, 5], [2]], [{"a": 1}, {"a": 5}], [b"1", b"\xff"], [date(2024, 1, 1)] * 2]
)
def test_a_column_named_like_ratings_that_holds_none_is_no_damage(tmp_path, name, cells):
    frame = pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], name: cells})
    frame.write_parquet(tmp_path / "log.parquet")
    data = read_dataset(tmp_path / "log.parquet")
    assert len(data.interactions) == 2
    assert not any(note.startswith("ratings:") for note in data.notes)
    with pytest.raises(DataError, match=f"column '{name}' is of type .*; ratings must be numbers"):
        read_dataset(tmp_path / "log.parquet", min_rating=4)


def test_damage_of_a_column_that_is_not_used_stops_no_reading(tmp_path):
    frame = pl.DataFrame({"rating": [5, 1] * 9, "user": ["a", "b"] * 9, "item": list("xyz") * 6})
    frame.write_parquet(tmp_path / "log.parquet")
    data = bytearray((tmp_path / "log.parquet").read_bytes())
    data[4:20] = b"\xff" * 16  # the first column's pages follow the four bytes PAR1
    (tmp_path / "log.parquet").write_bytes(data)
    found = read_dataset(tmp_path / "log.parquet")
    assert len(found.interactions) == 6
    assert not any(note.startswith("ratings:") for note in found.notes)
