"""--time-format means what strptime means, and numbers may be days with a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from recsys.errors import DataError
from recsys.readers.columns import Columns
from recsys.readers.reader import read_dataset

MOMENT = datetime(2024, 3, 5, 15, 58, 39, 120_000)  # noqa: DTZ001 (naive, as strptime returns it)


def microseconds(moment: datetime) -> int:
    return (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def times_of(tmp_path: Path, texts: list[str], form: str | None = None) -> list[int]:
    file = tmp_path / "log.csv"
    rows = {"user": range(len(texts)), "item": range(len(texts)), "ts": texts}
    pl.DataFrame(rows).write_csv(file)
    times = read_dataset(file, Columns(time_format=form)).interactions.times
    assert times is not None
    return times.tolist()


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S.%f",
        "%Y-%m-%d %H:%M:%S,%f",
        "%b %d, %Y %H:%M:%S,%f",
        "%H:%M:%S,%f, %d/%m/%Y",
        "%Y-%m-%dT%H:%M:%S.%fZ",
        "%Y-%m-%d %H",
        "%d.%m.%Y %I %p",
        "%B %d, %Y %I:%M %p",
        "%a %d %b %y",
        "%A, %d %B %Y",
        "%Y-%j %H:%M",
        "%c",
        "%x %X",
        "%Y %U %w",
        "%Y %W %w",
        "%G-W%V-%u",
        "%Y%%%m%%%d",
        "%Y%m%d%H%M%S",
        "%H:%M %Y/%m/%d",
        "%Y-%m",
    ],
)
def test_the_marks_of_strptime_mean_what_they_mean_in_python(tmp_path: Path, form: str) -> None:
    texts = [(MOMENT + timedelta(days=40 * n)).strftime(form) for n in range(2)]
    expected = [microseconds(datetime.strptime(text, form)) for text in texts]  # noqa: DTZ007
    assert times_of(tmp_path, texts, form) == expected


@pytest.mark.parametrize("mark", [".", ","])
def test_a_fraction_has_any_number_of_digits(tmp_path: Path, mark: str) -> None:
    texts = [f"2024-10-25 15:58:39{mark}{digits}" for digits in ("5", "123", "123456")]
    found = times_of(tmp_path, texts, f"%Y-%m-%d %H:%M:%S{mark}%f")
    assert [time % 1_000_000 for time in found] == [500_000, 123_000, 123_456]


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S%%z %z"])
def test_zones_are_read_as_in_python(tmp_path: Path, form: str) -> None:
    zones = ("Z", "+0000", "+02:00", "-0330")
    texts = [
        (MOMENT + timedelta(days=number)).strftime(form) + zone for number, zone in enumerate(zones)
    ]
    expected = [microseconds(datetime.strptime(text, form).astimezone(UTC)) for text in texts]
    assert times_of(tmp_path, texts, form) == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%d/%m/%Y %q", "%q is no mark of times; allowed are %a, %A"),
        ("%d/%m/%", "% is no mark of times"),
        ("%Y%m%d%H%M%S%f", "%f is read only after a point or a comma, as in %S.%f"),
        ("%d/%m/%Y %H:%M:%S.%-f", "%- is no mark of times"),
    ],
)
def test_a_mark_that_is_not_read_is_refused(form: str, expected: str) -> None:
    with pytest.raises(DataError) as error:
        Columns(time_format=form)
    assert str(error.value).startswith(f"--time-format {form!r}: {expected}")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%v %r", " 5-Mar-2024 03:58:39 PM"),
        ("%+", "2024-03-05T15:58:39+00:00"),
        ("%F %T %::z", "2024-03-05 15:58:39 +00:00"),
        ("%F %T %:z", "2024-03-05 15:58:39 +00:00"),
        ("%Y%m%d%H%M%S%3f", "20240305155839000"),
        ("%b %d, %Y %H:%M:%S,%f", "Mar 05, 2024 15:58:39"),
    ],
)
def test_marks_that_only_chrono_has_are_read(tmp_path: Path, form: str, text: str) -> None:
    expected = microseconds(MOMENT.replace(microsecond=0))
    assert times_of(tmp_path, [text, text.replace("2024", "2023")], form)[0] == expected


def test_the_cure_for_digits_right_after_the_seconds_is_named() -> None:
    with pytest.raises(DataError, match="write %3f"):
        Columns(time_format="%Y%m%d%H%M%S%f")


def test_a_format_without_a_day_is_no_fault_of_the_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2 '15:58', line 3 '15:59'; mend --time-format"):
        times_of(tmp_path, ["15:58", "15:59"], "%H:%M")


@pytest.mark.parametrize("end", ["", ".0"])
@pytest.mark.parametrize("form", ["%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d%H", "%Y%m%d%H%M%S000"])
def test_days_with_a_clock_written_as_numbers(tmp_path: Path, form: str, end: str) -> None:
    moments = [datetime(2024, 10, 25, 15), datetime(1999, 12, 31)]  # noqa: DTZ001
    found = times_of(tmp_path, [moment.strftime(form) + end for moment in moments])
    assert found == [microseconds(moment) for moment in moments]


def test_numbers_that_are_no_days_with_a_clock_stay_milliseconds(tmp_path: Path) -> None:
    assert times_of(tmp_path, ["202410251558", "202413251558"]) == [
        202_410_251_558_000,
        202_413_251_558_000,
    ]


def test_days_with_and_without_a_clock_are_told_apart_by_their_length(tmp_path: Path) -> None:
    texts = ["20240101", "20240102101112", "20240101101112123", "202401011011"]
    starts = [datetime(2024, 1, day) for day in (1, 2)]  # noqa: DTZ001
    first, second = map(microseconds, starts)
    clock = (10 * 3600 + 11 * 60 + 12) * 1_000_000
    assert times_of(tmp_path, texts) == [
        first,
        second + clock,
        first + clock + 123_000,
        first + (10 * 3600 + 11 * 60) * 1_000_000,
    ]


def test_times_after_2100_are_told(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("user,item,ts\na,x,20241025155839\nb,y,20241325155839\n")
    told = "times: column 'ts': the newest is in the year 2611; if that is wrong, name the form"
    assert any(note.startswith(told) for note in read_dataset(file).notes)
    file.write_text("user,item,ts\na,x,1700000000\nb,y,1700000001\n")
    assert not [note for note in read_dataset(file).notes if note.startswith("times")]
