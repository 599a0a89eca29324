"""A column of times that is not recognised is pointed out, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.errors import DataError
from recsys.readers.columns import Columns
from recsys.readers.reader import read_dataset


@pytest.mark.parametrize(
    ("cells", "is_time"),
    [
        (("2024-05-01", "2024-05-02"), True),
        (("01.05.2024 10:00", "13.05.2024 11:30"), True),
        (("1714557600", "1714644000"), True),
        (("1714557600000", "1714644000000"), True),
        (("2024-05-01", "2024-05-01"), False),  # all the same
        (("2024-05-01", ""), False),
        (("12", "13"), False),
        (("1963-05-01", "1970-05-02"), False),  # years of birth or of a film
        (("red", "blue"), False),
        (("4006381333931", "4006381333948"), False),  # numbers of articles (EAN)
    ],
)
def test_a_column_that_looks_like_times(
    tmp_path: Path, cells: tuple[str, str], is_time: bool
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("\n".join(["user,item,Kauf Datum", f"a,x,{cells[0]}", f"b,y,{cells[1]}", ""]))
    told = (
        "times: column 'Kauf Datum' looks like times; --time-col 'Kauf Datum' uses them (in a new "
        "study)"
    )
    assert (told in read_dataset(file).notes) == is_time


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["2024-05-01", "2024-05-02"]), pl.Date])
def test_a_column_of_any_type(tmp_path: Path, dtype: pl.DataType) -> None:
    days = pl.Series(["2024-05-01", "2024-05-02"])
    bought = days.str.to_date() if dtype == pl.Date else days.cast(dtype)
    file = tmp_path / "shop.parquet"
    others = {"b": [True, False], "l": [[1], [2]], "n": [None, None], "x": [b"1", b"2"]}
    pl.DataFrame(
        {"user": ["a", "b"], "item": ["x", "y"], "bought": bought, **others}
    ).write_parquet(file)
    told = "times: column 'bought' looks like times; --time-col bought uses them (in a new study)"
    assert [note for note in read_dataset(file).notes if note.startswith("times: ")] == [told]


def test_a_recognised_time_needs_no_hint(tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("user,item,ts,delivered\na,x,1,2024-05-01\nb,y,2,2024-05-02\n")
    assert read_dataset(file).notes == ("read: 2 rows; columns not used: 'delivered'",)


def test_the_cure_for_missing_columns_can_be_copied(tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("Wer,Was hat er,ts\na,x,1\nb,y,2\n")
    with pytest.raises(DataError) as caught:
        read_dataset(file)
    user, item = caught.value.problems
    assert "for instance --user-col Wer, or rename it" in user
    assert "for instance --item-col 'Was hat er', or rename it" in item


@pytest.mark.parametrize(
    ("head", "columns", "example"),
    [
        ("A,B,ts", Columns(user="B"), "--item-col A"),
        ("user,Artikelbez,Preis", Columns(), "--item-col Artikelbez"),
        ("Wer,item,ts", Columns(), "--user-col Wer"),
    ],
)
def test_the_example_is_a_column_that_is_free(
    tmp_path: Path, head: str, columns: Columns, example: str
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(f"{head}\na,x,1\nb,y,2\n")
    with pytest.raises(DataError, match=f"for instance {example}, or rename it"):
        read_dataset(file, columns)


@pytest.mark.parametrize(
    ("head", "user", "item"),
    [
        ("device_id,client,news_id,article", "device_id", "news_id"),
        ("usuário,produto_id", "usuário", "produto_id"),
        ("Kunden-Nr,Artikelnummer", "Kunden-Nr", "Artikelnummer"),
    ],
)
def test_names_of_other_languages_come_last(
    tmp_path: Path, head: str, user: str, item: str
) -> None:
    file = tmp_path / "shop.csv"
    n = head.count(",") + 1
    file.write_text("\n".join([head, ",".join("abcd"[:n]), ",".join("efgh"[:n]), ""]))
    assert read_dataset(file).columns == f"columns: user {user!r}, item {item!r}"


@pytest.mark.parametrize("blank", ["", "\n"])
@pytest.mark.parametrize("day", ["{}", "{}.0"])
def test_days_without_hyphens_are_days_whatever_else_the_file_has(
    tmp_path: Path, day: str, blank: str
) -> None:
    file = tmp_path / "shop.csv"
    lines = [f"{user},{day.format(20241025 + n)}" for n, user in enumerate(("a,x", "b,y"))]
    file.write_text("\n".join(["user,item,date", *lines, blank]))
    times = read_dataset(file).interactions.times
    assert times is not None
    assert times.tolist() == [1_729_814_400_000_000, 1_729_900_800_000_000]


def test_seconds_of_1970_stay_seconds(tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("user,item,time\na,x,20241025.5\nb,y,20241026\n")
    times = read_dataset(file).interactions.times
    assert times is not None
    assert times.tolist() == [20_241_025_500_000, 20_241_026_000_000]
