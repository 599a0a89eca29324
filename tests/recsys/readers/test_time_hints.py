"""A column of times that is not recognised is pointed out, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import DataError
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
    ],
)
def test_a_column_that_looks_like_times(
    tmp_path: Path, cells: tuple[str, str], is_time: bool
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("\n".join(["user,item,Kauf Datum", f"a,x,{cells[0]}", f"b,y,{cells[1]}", ""]))
    told = (
        "times: column 'Kauf Datum' looks like times; --time-col 'Kauf Datum' uses them, so that "
        "the newest rows are held out"
    )
    assert (told in read_dataset(file).notes) == is_time


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
