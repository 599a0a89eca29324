"""Data as people have it: one shop of 40 users, 60 items and 480 rows in many forms."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.readers.columns import Columns
from recsys.readers.reader import read_dataset

START = 1_500_000_000
# (user, item, seconds): later rows are later in time; 40 users, 60 items, no pair twice
ROWS = [(n % 40, (7 * n + n // 40) % 60, START + 977 * n) for n in range(480)]
WORDS = ("pv", "fav", "cart", "buy")


def shop() -> Interactions:
    users, items, times = zip(*ROWS, strict=True)
    return Interactions.from_ids(users, items, [time * 1_000_000 for time in times])


def frame() -> pl.DataFrame:
    rows = pl.DataFrame(ROWS, ["user_id", "item_id", "timestamp"], orient="row")
    return rows.with_columns(pl.from_epoch("timestamp", time_unit="s").dt.replace_time_zone("UTC"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def csv(rows: list[tuple[int, int, int]], head: str = "user_id,item_id,timestamp") -> str:
    return "\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n"


def expect_the_shop(path: Path, columns: Columns = Columns()) -> None:
    found = read_dataset(path, columns).interactions
    assert (found.n_users, found.n_items, len(found)) == (40, 60, 480)
    assert found.times is not None
    assert found.fingerprint == shop().fingerprint


def problem_of(path: Path, columns: Columns = Columns()) -> str:
    with pytest.raises(DataError) as error:
        read_dataset(path, columns)
    return "\n".join(error.value.problems)


def test_parts_of_spark(tmp_path: Path) -> None:
    for number in range(3):
        part = frame()[number * 160 : (number + 1) * 160]
        part.write_parquet(tmp_path / f"part-{number:05}.snappy.parquet")
    for other in ("_SUCCESS", "._SUCCESS.crc", ".part-00000.snappy.parquet.crc", "README.md"):
        (tmp_path / other).write_bytes(b"")
    expect_the_shop(tmp_path)


def test_partitions_of_hive(tmp_path: Path) -> None:
    months = frame().with_columns(month=pl.col("timestamp").dt.strftime("%Y-%m"))
    for (month,), part in months.partition_by("month", as_dict=True, include_key=False).items():
        folder = tmp_path / "shop" / f"date={month}"
        folder.mkdir(parents=True)
        part.write_parquet(folder / "part-0.parquet")
    expect_the_shop(tmp_path / "shop")
    # Where the files have no time themselves, the folder's name is one.
    for number in range(2):
        day = f"date=2024-01-0{number + 1}"
        write(tmp_path / "days" / day / "a.csv", f"user,item\nu{number},i{number}\n")
    days = read_dataset(tmp_path / "days").interactions.times
    assert days is not None
    assert days.tolist() == [1_704_067_200_000_000, 1_704_153_600_000_000]


def test_folders_may_name_the_event(tmp_path: Path) -> None:
    for word in ("view", "buy"):
        write(tmp_path / f"event={word}" / "x.csv", csv(ROWS[: 2 if word == "buy" else 4]))
    found = read_dataset(tmp_path, repeats="keep").interactions
    assert found.weights is not None
    assert sorted(found.weights.tolist()) == [1, 1, 1, 1, 5, 5]


def test_several_files_of_one_form_with_their_tables(tmp_path: Path) -> None:
    write(tmp_path / "2024-09.csv", csv(ROWS[:100]))
    write(tmp_path / "2024-10.csv.gz", csv(ROWS[100:]))
    write(tmp_path / "items.csv", "item_id,price\n1,2.5\n")
    expect_the_shop(tmp_path)
    items = read_dataset(tmp_path).item_table
    assert items is not None
    assert items.rows() == [("1", 2.5)]
    write(tmp_path / "other.csv", "a,b\n1,2\n")
    expect_the_shop(tmp_path / "2024-*")


def test_problems_in_parts_name_the_file(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", csv(ROWS[:3]))
    write(tmp_path / "b.csv", "user_id,item_id,timestamp\n1,2,noon\n\n,2,3\n")
    found = problem_of(tmp_path)
    assert f"{tmp_path}: column 'timestamp': not a time: b.csv line 2 'noon'" in found
    assert f"{tmp_path}: b.csv line 4, column 'user_id': '' is no user id" in found
    write(tmp_path / "b.csv", "user_id,item_id,timestamp\n1,2\n")
    assert f"{tmp_path / 'b.csv'}: each line needs 3 fields, but line 2 has 2" in problem_of(
        tmp_path
    )
    (tmp_path / "b.csv").write_bytes(b"user_id,item_id,timestamp\n1,\xff,3\n")
    assert f"{tmp_path / 'b.csv'}: line 2: is not UTF-8" in problem_of(tmp_path)
    write(tmp_path / "b.csv", "user_id,thing,timestamp\n1,2,3\n")
    found = problem_of(tmp_path)
    assert (
        f"{tmp_path / 'b.csv'}: lacks 'item_id'; has 'thing' besides, compared with a.csv" in found
    )


def test_parts_with_times_of_two_kinds_are_refused(tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "part-0.parquet")
    frame().with_columns(pl.col("timestamp").dt.epoch("s")).write_parquet(
        tmp_path / "part-1.parquet"
    )
    assert "part-1.parquet: column 'timestamp' holds numbers, but dates in part-0.parquet" in (
        problem_of(tmp_path)
    )


@pytest.mark.parametrize("name", ["reviews.jsonl", "reviews.ndjson.gz", "reviews.json"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    objects = [
        {"overall": 5.0, "reviewerID": user, "asin": str(item), "unixReviewTime": time}
        | ({"style": {"Size:": "L"}, "text": None} if user % 2 else {})
        for user, item, time in ROWS
    ]
    expect_the_shop(write(tmp_path / name, "\n\n".join(map(json.dumps, objects)) + "\n"))


def test_json_lines_of_a_shop_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "interactions.jsonl", '{"user": 1, "item": "a"}\n{"user": 2.0, "item": "b"}\n')
    write(tmp_path / "items.jsonl", '{"id": "a", "price": 3}\n{"id": "b"}\n')
    data = read_dataset(tmp_path)
    assert data.interactions.user_ids == ("1", "2")
    assert data.item_table is not None
    assert data.item_table.rows() == [("a", 3), ("b", None)]


BAD_JSON = {
    "an array": ("[\n{}\n]", ["line 1: is a JSON array", "one object per line"]),
    "cut off": ('{"user": 1, "item": 2}\n\n{"user": 3, "it', ["line 3: is not a JSON object"]),
    "cut off later": (
        '{"user": 1, "item": 2}\n' * 1500 + '{"user": 3, "it\n',
        ["line 1501: is not a JSON object", "mend or delete"],
    ),
    "no id": ('{"user": 1, "item": 2}\n\n{"user": 3}\n', ["line 3, column 'item': '' is no item"]),
    "Python": ("{'user': 1, 'item': 2}\n", ["line 1", "double quotes"]),
    "nothing": ("\n\n", ["is empty"]),
    "a byte order mark": (
        '\ufeff{"user": 1, "item": 2}\n{"user": 3, "item": 4}\n',
        ["line 1: begins with a byte order mark; save the file again as UTF-8 without it"],
    ),
    "a byte order mark later": (
        '{"user": 1, "item": 2}\n' * 1500 + '\ufeff{"user": 3, "item": 4}\n',
        ["line 1501: begins with a byte order mark"],
    ),
    "NaN": (
        '{"user": 1, "item": 2, "rating": 5}\n{"user": 1, "item": 2, "rating": NaN}\n',
        ["line 2: holds NaN or Infinity, which are no JSON; write null instead"],
    ),
    "NaN and others later": (
        '{"user": 1, "item": 2}\n' * 1500 + '{"user": 3, "x": [-Infinity]}\n{"x": NaN}\n{\n',
        ["line 1501, 1502: holds NaN or Infinity", "line 1503: is not a JSON object"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_lines(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = problem_of(write(tmp_path / "log.jsonl", text))
    assert found.startswith(str(tmp_path / "log.jsonl"))
    assert [part for part in expected if part not in found] == []


@pytest.mark.parametrize("name", ["log.arrow", "log.feather", "log.ipc"])
def test_arrow(tmp_path: Path, name: str) -> None:
    frame().write_ipc(tmp_path / name, compression="zstd")
    expect_the_shop(tmp_path / name)


def test_a_stream_of_arrow_is_refused_with_a_cure(tmp_path: Path) -> None:
    frame().write_ipc_stream(tmp_path / "log.arrow")
    assert "not a whole Arrow file (cut off, a stream" in problem_of(tmp_path / "log.arrow")


def test_ratings_dat_of_movielens_with_its_tables(tmp_path: Path) -> None:
    lines = [f"{user}::{item}::4::{time}" for user, item, time in ROWS]
    file = write(tmp_path / "ratings.dat", "\r\n".join(lines) + "\r\n")
    (tmp_path / "movies.dat").write_bytes("5::Ca\u00f1a (1995)::Drama|War\n".encode("latin-1"))
    write(tmp_path / "users.dat", "3::F::25::15::55117\n")
    for path in (tmp_path, file):
        expect_the_shop(path)
    data = read_dataset(tmp_path)
    assert data.item_table is not None
    assert data.user_table is not None
    assert data.item_table.rows() == [("5", "Ca\u00f1a", 1995, "Drama|War")]
    assert data.user_table.rows() == [("3", "F", 25, "15")]
    assert problem_of(write(tmp_path / "ratings.dat", "1::2::3::4\n5::6::7\n\n")).endswith(
        "but line 2 has 3; mend these lines (a quote left open?), or quote the texts that hold a ::"
    )
    write(tmp_path / "ratings.dat", "1::2::3::4\n5::6::7::8::9\n")
    assert "line 2 has 5" in problem_of(tmp_path)


def test_a_dat_with_a_header_is_a_table(tmp_path: Path) -> None:
    text = csv(ROWS)
    expect_the_shop(write(tmp_path / "log.dat", text.replace(",", "\t")))
    expect_the_shop(write(tmp_path / "again.dat", text.replace(",", "::")))


@pytest.mark.parametrize("name", ["UserBehavior.csv", "checkins.txt", "clicks.dat", "log.tsv.gz"])
@pytest.mark.parametrize("event", [None, "4"])
def test_files_without_a_header(tmp_path: Path, name: str, event: str | None) -> None:
    mark = "," if "csv" in name else "\t"
    lines = [mark.join(map(str, (u, i, u % 7, WORDS[i % 4], t))) for u, i, t in ROWS]
    file = write(tmp_path / name, "\n".join(lines) + "\n")
    columns = Columns("1", "2", "5", event, header=False)
    data = read_dataset(file, columns)
    assert (data.interactions.n_users, data.interactions.n_items) == (40, 60)
    assert len(data.interactions) == 480
    assert data.interactions.weights is not None
    assert set(data.interactions.weights.tolist()) == {1.0, 3.0, 5.0}
    told = "events: column '4' holds words of events, with weights"
    assert (told in data.notes) == (event is None)


def test_a_file_without_a_header_says_how_to_name_its_columns(tmp_path: Path) -> None:
    cure = "--no-header --user-col 1 --item-col 2 --time-col 3"
    file = write(tmp_path / "log.csv", "1,2,pv,3\n4,5,pv,6\n")
    assert f"if the first line is data, give {cure}" in problem_of(file)
    assert cure in problem_of(write(tmp_path / "numbers.csv", "1,2,3\n4,5,6\n"))
    assert cure.split(" --time")[0] in problem_of(write(tmp_path / "log.txt", "1,2,3\n4,5,6\n"))
    found = problem_of(file, Columns(header=False, item="9"))
    assert "no user column; columns found: '1', '2', '3', '4'; name it with --user-col" in found
    assert "--item-col names column '9', which is not there" in found
    frame().write_parquet(tmp_path / "log.parquet")
    refused = problem_of(tmp_path / "log.parquet", Columns("1", "2", header=False))
    assert "leave --no-header out" in refused


DAYS = "CustomerID,StockCode,InvoiceDate\nu0,i0,12/1/2010 8:26\nu1,i1,12/2/2010 9:26\n"


def test_ambiguous_dates_are_read_by_their_format(tmp_path: Path) -> None:
    file = write(tmp_path / "log.csv", DAYS)
    month_first, day_first = "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"
    assert f"--time-format '{month_first}' or '{day_first}'" in problem_of(file)
    for form, days in ((month_first, ((12, 1), (12, 2))), (day_first, ((1, 12), (2, 12)))):
        expected = [
            int(datetime(2010, month, day, hour, 26, tzinfo=UTC).timestamp()) * 1_000_000
            for (month, day), hour in zip(days, (8, 9), strict=True)
        ]
        times = read_dataset(file, Columns(time_format=form)).interactions.times
        assert times is not None
        assert times.tolist() == expected
    assert "line 2 '12/1/2010 8:26', line 3" in problem_of(file, Columns(time_format="%Y-%m-%d"))
    assert "mend --time-format '%Y-%m-%d'" in problem_of(file, Columns(time_format="%Y-%m-%d"))


def test_a_format_reads_numbers_too(tmp_path: Path) -> None:
    rows = pl.DataFrame({"user": [1, 2], "item": [1, 2], "date": [101224.0, 101225.0]})
    rows.write_parquet(tmp_path / "log.parquet")
    times = read_dataset(tmp_path / "log.parquet", Columns(time_format="%y%m%d")).interactions.times
    assert times is not None
    assert times.tolist() == [1_293_148_800_000_000, 1_293_235_200_000_000]


def test_the_finest_readable_time_is_proposed(tmp_path: Path) -> None:
    rows = "1,7,0:10,20170816.0,1502851780.378\n2,8,0:11,20170816.0,1502851781.378\n"
    file = write(tmp_path / "log.csv", "user_id,video_id,time,date,timestamp\n" + rows)
    assert "(the finest is --time-col timestamp)" in problem_of(file)


def test_events_named_and_weighted_by_the_user(tmp_path: Path) -> None:
    rows = "a,x,like,view\nb,x,Skip,view\nb,y,buy,view\n"
    file = write(tmp_path / "log.csv", "user,item,what,event\n" + rows)
    assert "say what they weigh with --event-weights" in problem_of(file, Columns(event="what"))
    columns = Columns(event="what", event_weights=(("like", 4.0), ("skip", 0.0), ("buy", 9.0)))
    data = read_dataset(file, columns)
    assert data.interactions.weights is not None
    assert data.interactions.weights.tolist() == [4.0, 9.0]
    assert "3 rows; 1 return left out" in data.notes[0]


@pytest.mark.parametrize(
    ("user", "item"),
    [
        ("user_pseudo_id", "video_id"),
        ("visitorid", "itemid"),
        ("customer_id", "article_id"),
        ("reviewerID", "asin"),
        ("client_id", "news_id"),
    ],
)
def test_more_names_are_recognised(tmp_path: Path, user: str, item: str) -> None:
    expect_the_shop(write(tmp_path / "log.csv", csv(ROWS, f"{user},{item},timestamp")))


def test_a_usual_name_wins_over_a_further_one(tmp_path: Path) -> None:
    file = write(tmp_path / "log.csv", "session_id,user_id,item_id\n7,1,5\n8,2,6\n")
    assert read_dataset(file).interactions.user_ids == ("1", "2")
    write(tmp_path / "interactions.csv", "user,item\na,x\nb,y\n")
    write(tmp_path / "users.csv", "username,id\nAna,a\n")
    table = read_dataset(tmp_path / "interactions.csv").user_table
    assert table is not None
    assert table.columns == ["user_id", "username"]


def test_rows_of_low_ratings_are_left_out(tmp_path: Path) -> None:
    rows = "a,x,5,1\na,y,3.5,2\nb,x,,3\nb,y,4,4\nc,z,1,5\n"
    file = write(tmp_path / "log.csv", "user,item,stars,ts\n" + rows)
    data = read_dataset(file, min_rating=4)
    kept = Interactions.from_ids(["a", "b"], ["x", "y"], [1_000_000, 4_000_000])
    assert data.interactions.fingerprint == kept.fingerprint
    assert data.notes == ("read: 5 rows; 3 rows with a low rating or none left out",)
    assert "--min-rating 3.5 leaves lower ones out" in read_dataset(file).notes[1]


def test_bad_ratings(tmp_path: Path) -> None:
    def told(text: str, **columns: str) -> str:
        with pytest.raises(DataError) as error:
            read_dataset(write(tmp_path / "log.csv", text), Columns(**columns), min_rating=4)
        return str(error.value)

    rows = "a,x,5\nb,y,good\n"
    found = told("user,item,rating\n" + rows)
    assert "line 3, column 'rating': not a rating: 'good'; write numbers (4.5)" in found
    assert "no rating column; columns found" in told("user,item,what\n" + rows)
    assert "name it with --rating-col" in told("user,item,what\n" + rows)
    assert "line 3, column 'what'" in told("user,item,what\n" + rows, rating="what")
    assert "no row has a rating of 4 or more" in told("user,item,rating\na,x,1\nb,y,2\n")


@pytest.mark.parametrize("time", ["", "noon"])
def test_times_of_rows_that_are_left_out_need_not_be_readable(tmp_path: Path, time: str) -> None:
    rows = f"a,x,5,buy,1\nb,y,4,buy,2\nc,x,1,buy,3\na,y,1,buy,{time}\nb,x,5,return,{time}\n"
    data = read_dataset(
        write(tmp_path / "log.csv", "user,item,rating,event,ts\n" + rows), min_rating=4
    )
    assert data.interactions.times is not None
    assert data.interactions.times.tolist() == [1_000_000, 2_000_000]


def test_only_the_unreadable_times_of_kept_rows_are_shown(tmp_path: Path) -> None:
    left_out = "".join(f"a,x,1,t{n}\na,x,1,{n}\n" for n in range(20))
    file = write(
        tmp_path / "log.csv", f"user,item,rating,ts\n{left_out}a,x,5,1\nb,y,4,noon\nc,x,5,9\n"
    )
    with pytest.raises(DataError) as error:
        read_dataset(file, min_rating=4)
    (problem,) = error.value.problems
    assert "column 'ts': not a time: line 43 'noon'; write" in problem


def test_an_unreadable_time_after_very_many_in_rows_left_out_is_named_by_its_line(
    tmp_path: Path,
) -> None:
    times = "".join(f"a,x,5,{n}\n" for n in range(2000))
    left_out = "".join(f"a,x,1,t{n}\n" for n in range(1500))
    file = write(tmp_path / "log.csv", f"user,item,rating,ts\n{times}{left_out}b,y,4,noon\n")
    with pytest.raises(DataError) as error:
        read_dataset(file, min_rating=4)
    (problem,) = error.value.problems
    assert "column 'ts': not a time: line 3502; write" in problem


def test_units_of_times_are_compared_in_kept_rows_only(tmp_path: Path) -> None:
    rows = "a,x,5,1600000000000\nb,y,4,1600000001000\na,y,1,1600000002\n"
    file = write(tmp_path / "log.csv", "user,item,rating,ts\n" + rows)
    assert len(read_dataset(file, min_rating=4).interactions) == 2
