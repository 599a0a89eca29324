"""Every bad file: one error that names the file, the place and the cure, and leaks nothing."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.errors import DataError
from recsys.readers.columns import Columns
from recsys.readers.reader import read_dataset

HEAD = "user_id,item_id,timestamp\n"
GOOD = HEAD + "a,x,100\nb,y,200\n"
MANY = "".join(f"u{n},i{n},{n}\n" for n in range(9))


def problems_of(path: Path, columns: Columns = Columns()) -> list[str]:
    with pytest.raises(DataError) as error:
        read_dataset(path, columns)
    return list(error.value.problems)


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


# (content of interactions.csv, what its one problem must say)
BAD_TEXT = {
    "empty": (b"", ["is empty", "header line"]),
    "only blank lines": ("\n \n", ["is empty", "header line"]),
    "header only": (HEAD, ["no rows"]),
    "header and blanks": (HEAD + "\n  \n", ["no rows"]),
    "no header": ("1,10,881250949\n2,11,881250950\n", ["first line looks like data", "header"]),
    "no item": ("user_id,thing\na,x\nb,y\n", ["no item column", "'thing'", "--item-col", "sku"]),
    "two users": ("user,customer_id,item\na,b,x\na,b,y\n", ["'user', 'customer_id'", "--user-col"]),
    "repeated header": (
        GOOD + HEAD + "c,z,3\n" + HEAD,
        ["line 4, 6 repeat the header (files put together?)", "delete each such line"],
    ),
    "repeated header without times": (
        "user,item\n1.0,x\n2.0,y\nuser,item\n",
        ["line 4 repeats the header"],
    ),
    "two times": (
        "user,item,date,ts\na,x,2024-01-01,2024-01-01 10:00\nb,y,2024-01-01,2024-01-01 11:00\n",
        ["'date', 'ts'", "choose one with --time-col (the finest is --time-col ts)"],
    ),
    "two events": (
        "user,item,event,tipo\na,x,view,view\nb,y,,\n",
        ["'event', 'tipo'", "choose one with --event-col"],
    ),
    "same name": ("user,item,user\na,x,b\n", ["line 1", "two columns are named 'user'", "rename"]),
    "missing id": (
        HEAD + "a,x,1\n,y,2\n\nb,y,3\n,z,4\n",
        ["line 3, 6", "column 'user_id'", "''", "fill it in or delete"],
    ),
    "nan id": (HEAD + "a,x,1\nb,NaN,2\n", ["line 3", "column 'item_id'", "'NaN'", "delete"]),
    "blank id after quoted line break": (
        'user,note,item\na,"1\n2",x\nb,,y\n\n, ,y\n',
        ["line 6", "column 'user'", "fill it in"],
    ),
    "bad time": (
        HEAD + "a,x,100\nb,y,yesterday\nb,x,inf\n",
        ["column 'timestamp'", "line 3 'yesterday', line 4 'inf'", "write 2024-10-25"],
    ),
    "bad date": (
        HEAD + "a,x,2024-10-25\nb,y,2024-13-01\nb,x,31/02/2024\na,y,25/10/24\n",
        ["line 3 '2024-13-01', line 4 '31/02/2024', line 5 '25/10/24'"],
    ),
    "seconds and milliseconds": (
        HEAD + "a,x,1600000000\nb,y,1600000001000\n\na,y,1600000002\n",
        ["column 'timestamp'", "2 of 4 look like seconds", "line 2, 5", "milliseconds", "one unit"],
    ),
    "milliseconds and microseconds": (
        HEAD + "a,x,1600000000000.5\nb,y,1600000001000000\n",
        ["1 of 2 look like milliseconds", "line 2", "like microseconds"],
    ),
    "two orders of dates": (
        HEAD + "a,x,25/10/2024\nb,y,10/26/2024 15:30\nb,x,01/02/2024\n",
        ["two orders", "1 have the day first (line 2 '25/10/2024')", "line 3 '10/26", "2024-10-25"],
    ),
    "day or month": (
        HEAD + "a,x,05/06/2024\nb,y,06-05-2024\nb,x,05/05/2024\na,y,2024-10-25\n",
        [
            "told apart in 2 dates",
            "line 2 '05/06/2024', line 3 '06-05-2024'",
            "write them as 2024-10-25",
        ],
    ),
    "no time": (HEAD + "a,x,100\nb,y,\n", ["line 3", "column 'timestamp'", "no time", "fill"]),
    "many bad times": (
        HEAD + MANY + "".join(f"v{n},i{n},t{n}\n" for n in range(8)),
        ["line 11 't0'", "line 15 't4' and 3 more"],
    ),
    "number too large": (HEAD + "a,x,1\nb,y,1e300\n", ["line 3 '1e300'"]),
    "NUL in ids": (
        HEAD + "a,x\0,1\nb,y,2\nc,z\0,3\n",
        ["line 2, 4, column 'item_id'", "invisible character (U+0000)", "remove it"],
    ),
    "zero-width blank in an id": (HEAD + "a,x,1\nb\u200b,y,2\n", ["line 3", "U+200B"]),
    "floats beside integers": (
        HEAD + "1,x,1\n2.0,y,2\n3,x,3\n",
        ["line 3, column 'user_id'", "written as a float", "12, not 12.0"],
    ),
    "one user": (HEAD + "a,x,1\na,y,2\n", ["one user only ('a')", "at least 2", "--user-col"]),
    "one item": (HEAD + "a,x,1\nb,x,2\n", ["one item only ('x')", "at least 2", "--item-col"]),
    "unknown event": (
        "user,item,event\na,x,view\nb,y,dance\n",
        ["line 3", "column 'event'", "'dance'", "allowed", "compra", "remove the column"],
    ),
    "only returns": (
        "user,item,event\na,x,return\n\nb,y,refund\n",
        ["all of its rows (2) are returns", "column 'event'", "left out"],
    ),
    "short line": (HEAD + "a,x,1\nb,y\n", ["3 fields", "line 3 has 2", "mend"]),
    "long line": (HEAD + "a,x,1\nb,y,2,9\n", ["3 fields", "line 3 has 4", "comma"]),
    "long line with quotes": (HEAD + '"a,b",x,1\nb,y,2,9\n', ["line 3 has 4"]),
    "Latin-1": (HEAD.encode() + "a,x,1\nñ,y,2\n".encode("latin-1"), ["line 3", "UTF-8", "save"]),
    "all Latin-1": (
        HEAD.encode() + "".join(f"ñ{n},y{n},{n}\n" for n in range(9)).encode("latin-1"),
        ["line 2, 3, 4, 5, 6 and 4 more: are not UTF-8"],
    ),
    "Latin-1 header": ("user_id,año\n".encode("latin-1"), ["line 1", "UTF-8", "save"]),
    "UTF-16": (GOOD.encode("utf-16"), ["line 1", "UTF-16", "save"]),
    "binary": (b"\x7fELF\0\0\0\1\n", ["line 1", "not text", "CSV"]),
    "carriage returns": (GOOD.replace("\n", "\r"), ["carriage returns"]),
    "open quote": (HEAD + 'a,x,1\nb,"y,2\nc,z,3\n', ["line 3 has 2", "quote left open"]),
}


@pytest.mark.parametrize(("content", "expected"), BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_bad_text(tmp_path, content, expected):
    write(tmp_path, {"interactions.csv": content})
    (problem,) = problems_of(tmp_path)
    assert problem.startswith(str(tmp_path / "interactions.csv"))
    assert [part for part in expected if part not in problem] == []


@pytest.mark.parametrize(("content", "expected"), BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_bad_text_in_gzip(tmp_path, content, expected):
    data = content.encode() if isinstance(content, str) else content
    write(tmp_path, {"interactions.csv.gz": gzip.compress(data)})
    (problem,) = problems_of(tmp_path)
    assert [part for part in expected if part not in problem] == []


PACKED = gzip.compress((HEAD + MANY * 5000).encode())
BAD_BYTES = {
    "gzip cut off": ("interactions.csv.gz", PACKED[: len(PACKED) // 2], "damaged (gzip)"),
    "gzip cut in its header": ("interactions.csv.gz", PACKED[:6], "damaged (gzip)"),
    "gzip checksum": ("interactions.csv.gz", PACKED[:-8] + b"\0" * 8, "damaged (gzip)"),
    "not Parquet": ("interactions.parquet", b"hello", "not a whole Parquet file"),
    "Parquet cut off": ("interactions.parquet", b"PAR1" + b"x" * 100, "not a whole Parquet file"),
    "empty Parquet": ("interactions.parquet", b"", "is empty"),
    "other extension": ("events.xlsx", b"PK", "extension; readable are .csv"),
    "no extension": ("events", b"a,b", "extension; readable are .csv"),
}


@pytest.mark.parametrize(("name", "content", "expected"), BAD_BYTES.values(), ids=BAD_BYTES.keys())
def test_bad_bytes(tmp_path, name, content, expected):
    write(tmp_path, {name: content})
    (problem,) = problems_of(tmp_path / name)
    assert problem.startswith(str(tmp_path / name))
    assert expected in problem


BAD_PARQUET = {
    "no rows": ({"user": [], "item": []}, {"user": pl.String, "item": pl.String}, "no rows"),
    "null id": ({"user": ["a", None], "item": [1, 2]}, None, "row 2, column 'user'"),
    "NaN id": ({"user": [1.0, np.nan], "item": [1, 2]}, None, "row 2, column 'user': 'NaN'"),
    "list ids": ({"user": [["a"], ["b"]], "item": [1, 2]}, None, "type List(String); ids must"),
    "bool time": ({"user": [1, 2], "item": [1, 2], "ts": [True, False]}, None, "type Boolean; tim"),
    "NaN time": ({"user": [1, 2], "item": [1, 2], "ts": [1.0, np.nan]}, None, "row 2 'NaN'"),
    "null time": ({"user": [1, 2], "item": [1, 2], "ts": [None, 1]}, None, "row 1, column 'ts'"),
}


@pytest.mark.parametrize(("data", "schema", "expected"), BAD_PARQUET.values(), ids=BAD_PARQUET)
def test_bad_parquet(tmp_path, data, schema, expected):
    pl.DataFrame(data, schema=schema).write_parquet(tmp_path / "interactions.parquet")
    (problem,) = problems_of(tmp_path)
    assert expected in problem


BAD_FOLDERS = {
    "nothing there": ({}, ["no interactions file", "interacciones.csv", "found nothing"]),
    "another name": ({"events.csv": GOOD}, ["'events.csv'", "pass the file itself"]),
    "two candidates": (
        {"interactions.csv": GOOD, "ratings.csv": GOOD},
        ["several interactions files", "'interactions.csv', 'ratings.csv'", "pass the one"],
    ),
    "two item files": (
        {"interactions.csv": GOOD, "items.csv": "", "productos.tsv": ""},
        ["several files for items", "'items.csv', 'productos.tsv'", "keep one"],
    ),
}


@pytest.mark.parametrize(("files", "expected"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_bad_folder(tmp_path, files, expected):
    write(tmp_path, files)
    (problem,) = problems_of(tmp_path)
    assert problem.startswith(str(tmp_path))
    assert [part for part in expected if part not in problem] == []


def test_missing_path_says_what_is_near(tmp_path):
    write(tmp_path, {"interactions.csv": GOOD})
    (problem,) = problems_of(tmp_path / "interaction.csv")
    assert "not found" in problem
    assert "'interactions.csv'" in problem
    assert "no folder" in problems_of(tmp_path / "no" / "where")[0]


def test_override_names_the_columns_found(tmp_path):
    write(tmp_path, {"interactions.csv": GOOD})
    problems = problems_of(tmp_path, Columns(user="buyer", time="when"))
    assert len(problems) == 2
    assert "--user-col names column 'buyer'" in problems[0]
    assert "'user_id', 'item_id', 'timestamp'" in problems[0]
    assert "--time-col" in problems[1]


def test_one_column_cannot_be_two(tmp_path):
    write(tmp_path, {"interactions.csv": GOOD})
    (problem,) = problems_of(tmp_path, Columns(user="item_id"))
    assert "one column would play two roles" in problem
    assert "--user-col" in problem


SIDE = "user_id,name,email\n"
BAD_USERS = {
    "repeated": (
        SIDE + "a,Ana,ana@x.es\nb,Bo,b@x.es\na,Eva,e@x.es\n",
        ["line 4", "the user id was in an earlier row; keep one row per user"],
    ),
    "invisible": (SIDE + "a,Ana,ana@x.es\nb\0,Bo,b@x.es\n", ["line 3", "U+0000", "remove"]),
    "mixed": (SIDE + "1.0,Ana,ana@x.es\nb,Bo,b@x.es\n", ["line 2", "written as a float"]),
    "missing": (SIDE + "a,Ana,ana@x.es\n,Bo,b@x.es\n", ["line 3", "no user id"]),
    "short": (SIDE + "a,Ana,ana@x.es\nb,Bo\n", ["line 3 has 2"]),
    "long": (SIDE + "a,Ana,ana@x.es\nb,Bo,b@x.es,9\n", ["line 3 has 4"]),
    "no id": ("name,email\nAna,ana@x.es\n", ["no user id column", "'name', 'email'", "--user-col"]),
    "no header": ("7,Ana,ana@x.es\n", ["line 1 looks like data", "header line", "user_id"]),
    "two ids": ("user,uid,name\na,b,Ana\n", ["'user', 'uid'", "look like"]),
    "no rows": (SIDE, ["no rows"]),
    "empty": ("", ["is empty"]),
    "Latin-1": ((SIDE + "a,Ana Peña,ana@x.es\n").encode("latin-1"), ["line 2", "UTF-8"]),
    "open quote": (SIDE + 'a,"Ana,ana@x.es\n', ["line 2 has 2", "quote left open"]),
}


@pytest.mark.parametrize(("content", "expected"), BAD_USERS.values(), ids=BAD_USERS)
def test_bad_user_table_names_lines_but_nobody(tmp_path, content, expected):
    write(tmp_path, {"interactions.csv": GOOD, "users.csv": content})
    (problem,) = problems_of(tmp_path)
    assert problem.startswith(str(tmp_path / "users.csv"))
    assert [part for part in expected if part not in problem] == []
    assert [secret for secret in ("Ana", "ana@", "Bo", "Eva") if secret in problem] == []


def test_an_item_that_comes_twice_is_named(tmp_path):
    items = "item_id,price\nx,1\nx,2\ny,1\ny,2\n"
    write(tmp_path, {"interactions.csv": GOOD, "items.csv": items})
    (problem,) = problems_of(tmp_path)
    expected = "line 3, 5, column 'item_id': the item id ('x', 'y') was in an earlier row"
    assert expected in problem


def test_a_missing_column_hides_no_other_problem(tmp_path):
    write(tmp_path, {"interactions.csv": "user,thing,ts\na,x,noon\n,y,1\nb,z,2\n"})
    problems = "\n".join(problems_of(tmp_path))
    assert [
        part for part in ("no item column", "line 2 'noon'", "line 3") if part not in problems
    ] == []


def test_all_files_are_judged_at_once(tmp_path):
    write(
        tmp_path,
        {
            "interactions.csv": HEAD + "a,,x\nb,y,200\n,x,300\n",
            "users.csv": "name\nAna\n",
            "items.csv": "item_id,price\nx,1\nx,2\n",
        },
    )
    problems = problems_of(tmp_path)
    assert [Path(problem.split(": ")[0]).name for problem in problems] == [
        *["interactions.csv"] * 3,
        "users.csv",
        "items.csv",
    ]


def test_broken_movielens_side_file(tmp_path):
    write(tmp_path, {"u.data": "1\t1\t5\t100\n2\t2\t3\t200\n", "u.user": "1|24|M\n"})
    (problem,) = problems_of(tmp_path)
    assert "u.user: line 1 does not have the 5 fields" in problem
    assert "unpack the archive again" in problem


def test_unreadable_file(tmp_path):
    (tmp_path / "interactions.csv").mkdir()
    assert "no interactions file" in problems_of(tmp_path)[0]
