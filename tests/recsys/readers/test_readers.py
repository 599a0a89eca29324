"""Every form of file that recsys reads."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.readers.columns import SPELLINGS, Columns
from recsys.readers.reader import read_dataset
from recsys.readers.tables import table
from tests.support.interaction_files import CSV, ROWS, expect_rows, pairs, write_file
from tests.support.paths import SHARED


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
    file = write_file(tmp_path, name, content)
    for path in (tmp_path, file):
        expect_rows(read_dataset(path).interactions)


def test_parquet(tmp_path):
    frame = pl.DataFrame(ROWS, schema=["user", "sku", "ts"], orient="row")
    frame.write_parquet(tmp_path / "interactions.parquet")
    expect_rows(read_dataset(tmp_path).interactions)
    frame.with_columns(pl.col("user").cast(pl.Categorical)).write_parquet(tmp_path / "own.parquet")
    expect_rows(read_dataset(tmp_path / "own.parquet").interactions)


def test_wildcards_in_a_name_are_letters(tmp_path):
    write_file(tmp_path, "events[1]*.csv", CSV)
    expect_rows(read_dataset(tmp_path / "events[1]*.csv").interactions)


@pytest.mark.parametrize("role", ["user", "item", "time", "event"])
def test_every_spelling(tmp_path, role):
    words = {"user": "a b", "item": "x y", "time": "100 200", "event": "view compra"}
    usual = {"user": "user_id", "item": "item_id", "time": "timestamp", "event": "event"}
    rows = list(zip(*(word.split() for word in words.values()), strict=True))
    for spelling in SPELLINGS[role]:
        for shown in (spelling, spelling.upper(), spelling.title().replace("_", "")):
            header = ",".join(({**usual, role: shown}).values())
            file = write_file(tmp_path, "log.csv", "\n".join([header, *map(",".join, rows)]))
            data = read_dataset(file).interactions
            assert pairs(data) == [("a", "x"), ("b", "y")]
            assert data.times is not None
            assert data.weights.tolist() == [1.0, 5.0]


def test_overrides_win_over_spellings(tmp_path):
    file = write_file(
        tmp_path, "log.csv", "user_id,item_id,date,buyer,what,at\n9,9,9,a,x,1\n9,9,9,b,y,2\n"
    )
    data = read_dataset(file, Columns(user="buyer", item="what", time="at")).interactions
    assert pairs(data) == [("a", "x"), ("b", "y")]
    assert data.times.tolist() == [1_000_000, 2_000_000]


def test_low_ratings_that_are_not_used_are_told(tmp_path):
    rows = "a,x,5,1\na,y,0,2\nb,x,5,3\nb,y,5,4\n"
    data = read_dataset(write_file(tmp_path, "log.csv", "user,item,rating,ts\n" + rows))
    (told,) = [note for note in data.notes if note.startswith("ratings: column 'rating' is not")]
    assert "(0: 25%, 5: 75%)" in told


def test_a_video_is_an_item(tmp_path):
    file = write_file(tmp_path, "log.csv", "user_id,video_id\n1,7\n2,8\n")
    assert read_dataset(file).interactions.item_ids == ("7", "8")


def test_events_become_weights(tmp_path):
    words = ["visto", "Clic", "agregado al carrito", "compra", "add-to-cart", "PURCHASE"]
    lines = "".join(f"u{n},i{n},{word}\n" for n, word in enumerate(words))
    data = read_dataset(write_file(tmp_path, "log.csv", "user,item,tipo\n" + lines)).interactions
    assert data.weights.tolist() == [1, 2, 3, 5, 3, 5]
    assert Columns().event_weight("dance") is None


def test_returned_goods_are_no_interest_and_leave_no_phantoms(tmp_path):
    rows = "a,x,purchase\nb,y,purchase\na,z,return\nc,x,devolución\n"
    data = read_dataset(write_file(tmp_path, "log.csv", "user,item,event\n" + rows)).interactions
    assert pairs(data) == [("a", "x"), ("b", "y")]
    assert data.item_ids == ("x", "y")
    assert data.user_ids == ("a", "b")


def test_ratings_and_counts_are_no_weights(tmp_path):
    file = write_file(tmp_path, "log.csv", "user,item,rating,listens\na,x,5,100\nb,y,1,2\n")
    assert read_dataset(file).interactions.weights is None


def test_repeats(tmp_path):
    file = write_file(
        tmp_path, "log.csv", "user,item,ts,event\na,x,9,view\na,x,3,compra\nb,y,1,view\n"
    )
    dropped, kept = (read_dataset(file, repeats=how).interactions for how in ("drop", "keep"))
    assert dropped.weights.tolist() == [5.0, 1.0]
    assert kept.times.tolist() == [3_000_000, 9_000_000, 1_000_000]


def test_what_was_left_out_is_told(tmp_path):
    head = "user_id,item_id,event,when_it_was,price\n"
    rows = "a,x,view,1,2\na,x,buy,2,2\n\nb,y,return,3,2\nb,x,view,4,2\na,y,view,5,2\n"
    path = write_file(tmp_path, "events.csv", head + rows)
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
    path = write_file(tmp_path, "interactions.csv", "user,item,ts\na,x,1\nb,y,2\n").parent
    write_file(tmp_path, "users.csv", "user,email\na,a@x.es\n")
    assert read_dataset(path).notes == ()


def test_side_tables(tmp_path):
    write_file(tmp_path, "interacciones.csv", CSV)
    write_file(tmp_path, "usuarios.csv", "nombre;id_usuario;edad\nAna;a;31\n;zz;\n")
    write_file(tmp_path, "productos.tsv.gz", 'id\tprecio\tzip\ttexto\nx\t1.50\t007\t12" disco\n')
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
    write_file(tmp_path, "items.csv", "item_id,price\nx,1\n")
    assert read_dataset(write_file(tmp_path, "interactions.csv", CSV)).item_table is not None
    assert read_dataset(write_file(tmp_path, "events.csv", CSV)).item_table is None


def test_an_override_need_not_exist_in_a_side_table(tmp_path):
    write_file(tmp_path, "interactions.csv", CSV.replace("user_id", "who"))
    write_file(tmp_path, "users.csv", "user_id,age\na,1\n")
    assert read_dataset(tmp_path, Columns(user="who")).user_table.columns == ["user_id", "age"]


def test_official_movielens_folder(tmp_path):
    write_file(tmp_path, "u.data", "1\t1\t5\t100\n2\t2\t3\t200\n")
    flags = ["0"] * 19
    flags[1] = flags[16] = "1"
    item = "|".join(["1", "Ca\u00f1a (Reed) (1995)", "01-Jan-1995", "", "http://x", *flags])
    write_file(
        tmp_path, "u.item", f"{item}\n2|unknown||||1|{'|'.join(['0'] * 18)}\n".encode("latin-1")
    )
    write_file(tmp_path, "u.user", "1|24|M|technician|85711\n2|53|F|other|94043\n")
    data = read_dataset(tmp_path)
    assert data.item_table.rows() == [
        ("1", "Caña (Reed)", 1995, "Action|Thriller"),
        ("2", "unknown", None, "unknown"),
    ]
    assert data.user_table.rows() == [("1", 24, "M", "technician"), ("2", 53, "F", "other")]


def test_bare_quotes_in_tab_separated_text(tmp_path):
    file = write_file(tmp_path, "log.tsv", 'user\titem\tnote\na\tx\t"12" inch\nb\ty\t"open\n')
    assert pairs(read_dataset(file).interactions) == [("a", "x"), ("b", "y")]


def test_line_breaks_in_quotes(tmp_path):
    huge = "long, " * 50_000
    file = write_file(tmp_path, "big.csv", f'user,item,note\na,x,"{huge}"\n\nb,y,\n')
    assert pairs(read_dataset(file).interactions) == [("a", "x"), ("b", "y")]
    file = write_file(tmp_path, "log.csv", 'user,item,note\na,x,"one\ntwo, three"\n\nb,y,\n')
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
    timed = read_dataset(write_file(tmp_path, "timed.csv", "Kunde,Artikel,fecha\n" + rows))
    assert timed.columns == (
        "columns: user 'Kunde', item 'Artikel', time 'fecha'; times from 2024-04-30 to 2024-05-03"
    )
    untimed = read_dataset(write_file(tmp_path, "untimed.csv", "user,item\na,x\nb,y\n"))
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
