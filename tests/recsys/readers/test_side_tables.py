"""Tables of users and items beside the interactions: their ids, their headers, their forms."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.datasets.features import with_features
from recsys.errors import DataError
from recsys.readers.columns import Columns
from recsys.readers.reader import read_dataset

CSV = "user_id,item_id\na,x\nb,y\n"
U_DATA = "1\t1\t5\t100\n2\t2\t3\t200\n"
RATINGS = "1::1::5::100\n2::2::3::200\n"
FLAGS = "|".join(["1", *["0"] * 18])


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def problem_of(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_dataset(path)
    return "\n".join(error.value.problems)


def film(number: str, title: str) -> str:
    return f"{number}|{title}|01-Jan-1995||http://x|{FLAGS}\n"


TWICE = {
    "u.item": (U_DATA, film("1", "A") + "\n" + film("2", "B") + film("1", "A"), "line 4", "item"),
    "u.user": (U_DATA, "1|24|M|x|85711\n2|53|F|y|94043\n1|24|M|x|85711\n", "line 3", "user"),
    "movies.dat": (RATINGS, "1::A (1995)::War\n2::B (1996)::War\n1::C::War\n", "line 3", "item"),
    "users.dat": (RATINGS, "1::F::25::15::55117\n1::F::25::15::55117\n", "line 2", "user"),
}


@pytest.mark.parametrize("name", TWICE)
def test_an_id_that_comes_twice_in_a_table_of_movielens_is_named(tmp_path: Path, name: str) -> None:
    rows, text, line, side = TWICE[name]
    written(tmp_path, **{"u.data" if rows == U_DATA else "ratings.dat": rows, name: text})
    found = problem_of(tmp_path)
    assert found.startswith(f"{tmp_path / name}: {line}, column '{side}_id': the {side} id")
    assert f"was in an earlier row; keep one row per {side}" in found


def test_a_row_without_an_id_in_a_table_of_movielens_is_named(tmp_path: Path) -> None:
    written(tmp_path, **{"u.data": U_DATA, "u.user": "1|24|M|x|85711\n\n|53|F|y|94043\n"})
    assert f"{tmp_path / 'u.user'}: line 3, column 'user_id': no user id" in problem_of(tmp_path)


def test_the_line_of_another_width_is_counted_with_blank_lines(tmp_path: Path) -> None:
    written(tmp_path, **{"u.data": U_DATA, "u.user": "1|24|M|x|85711\n\n2|53|F\n"})
    assert "u.user: line 3 does not have the 5 fields" in problem_of(tmp_path)


LISTS = {
    "texts": (['["A", "B, b"]', '["A"]', "[]"], pl.List(pl.String), [["A", "B, b"], ["A"], []]),
    "whole numbers": (["[1, 2]", "[3]"], pl.List(pl.Int64), [[1, 2], [3]]),
    "numbers": (["[1, 2]", "[0.5, null]"], pl.List(pl.Float64), [[1.0, 2.0], [0.5, None]]),
    "mixed values": (['["a", 1]', "[true]"], pl.List(pl.String), [["a", "1"], ["true"]]),
    "truths": (["[true]", "[false]"], pl.List(pl.String), [["true"], ["false"]]),
    "long numbers": (["[9223372036854775808]"], pl.List(pl.String), [["9223372036854775808"]]),
    "long fractions": (["[0.1000000000000000000001]"], pl.List(pl.Float64), [[0.1]]),
    "nested lists": (['[["A", "B"], ["A"]]', "[[]]"], pl.List(pl.String), None),
    "a text beside a list": (['["A"]', '"B"'], pl.String, ['["A"]', "B"]),
    "objects in a list": (['[{"a": 1}]', "[]"], pl.String, ['[{"a": 1}]', "[]"]),
    "a bracket only": (['"[A]"', '"[B"'], pl.String, ["[A]", "[B"]),
}


@pytest.mark.parametrize(("cells", "dtype", "expected"), LISTS.values(), ids=LISTS)
def test_arrays_in_json_lines_become_lists(
    tmp_path: Path, cells: list[str], dtype: pl.DataType, expected: list[object] | None
) -> None:
    lines = [f'{{"item_id": "i{n}", "c": {cell}}}\n' for n, cell in enumerate([*cells, "null"])]
    written(tmp_path, **{"interactions.csv": CSV, "items.jsonl": "".join(lines)})
    table = read_dataset(tmp_path).item_table
    assert table is not None
    assert table.schema["c"] == dtype
    found = table["c"].to_list()
    assert found[-1] is None
    if expected is None:
        assert found[0] == ["A", "B", "A"]
        assert not any(found[1] or ())
    elif dtype == pl.String:
        assert [str(cell).replace(" ", "") for cell in found[:-1]] == [
            str(cell).replace(" ", "") for cell in expected
        ]
    else:
        assert found[:-1] == expected


def test_numbers_may_name_columns_of_a_table_with_an_id(tmp_path: Path) -> None:
    written(tmp_path, **{"interactions.csv": CSV, "items.csv": "item_id,2023,2024\nx,1,2\n"})
    table = read_dataset(tmp_path).item_table
    assert table is not None
    assert table.rows() == [("x", 1, 2)]


@pytest.mark.parametrize("form", ["parquet", "arrow", "jsonl"])
def test_a_file_with_a_schema_has_no_line_that_looks_like_data(tmp_path: Path, form: str) -> None:
    written(tmp_path, **{"interactions.csv": CSV})
    frame = pl.DataFrame({"id": ["x"], "0": [0.5], "1": [1.5]})
    write = {"parquet": frame.write_parquet, "arrow": frame.write_ipc, "jsonl": frame.write_ndjson}
    write[form](tmp_path / f"items.{form}")
    table = read_dataset(tmp_path).item_table
    assert table is not None
    assert table.columns == ["item_id", "0", "1"]


def test_a_schema_without_an_id_is_told_with_its_columns(tmp_path: Path) -> None:
    written(tmp_path, **{"interactions.csv": CSV})
    frame = pl.DataFrame({"label": ["a"], "0": [0.5], "1": [1.5]})
    frame.write_parquet(tmp_path / "users.parquet")
    assert "no user id column; columns found: 'label', '0', '1'" in problem_of(tmp_path)


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("7,Ana,31", Columns()),
        ("7,Ana,31", Columns(user="7")),
        ("7,user,ana@x.es", Columns()),
    ],
)
def test_a_first_line_of_data_is_still_no_header(
    tmp_path: Path, line: str, columns: Columns
) -> None:
    written(tmp_path, **{"interactions.csv": CSV, "users.csv": f"{line}\n8,Bo,32\n"})
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path, columns)
    assert f"{tmp_path / 'users.csv'}: line 1 looks like data" in str(error.value)
    assert not any(secret in str(error.value) for secret in ("Ana", "ana@"))


def test_tables_of_another_form_beside_ratings_dat_are_left_out_and_told(tmp_path: Path) -> None:
    rows = "1::0000008::5::100\n2::0000010::3::200\n"
    movies = "0000008::A (1894)::Short\n"
    written(tmp_path, **{"ratings.dat": rows, "users.dat": "1::9999\n", "movies.dat": movies})
    data = read_dataset(tmp_path)
    assert data.user_table is None
    assert data.item_table is not None
    (told,) = [note for note in data.notes if "users.dat" in note]
    assert told == (
        f"{tmp_path / 'users.dat'}: not used: its lines have 2 fields, not the 5 of MovieLens; for "
        "user features, save ratings.csv and users.csv with header lines"
    )
    with pytest.raises(DataError, match="there is no table of users"):
        with_features(data, items=(), users=("age",))
    written(tmp_path, **{"movies.dat": "0000008::A\n"})
    assert read_dataset(tmp_path).item_table is None


def test_a_damaged_table_beside_ratings_dat_is_named(tmp_path: Path) -> None:
    written(tmp_path, **{"ratings.dat": RATINGS, "users.dat": "1::F::25::15::55117\n2::M\n"})
    found = problem_of(tmp_path)
    assert "users.dat: line 2 does not have the 5 fields of MovieLens; unpack" in found


def test_cells_of_users_dat_are_not_shown(tmp_path: Path) -> None:
    written(tmp_path, **{"ratings.dat": RATINGS, "users.dat": "1::F::Ana::15::55117\n"})
    table = read_dataset(tmp_path).user_table
    assert table is not None
    assert table.rows() == [("1", "F", None, "15")]
