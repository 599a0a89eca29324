"""Ready-made splits: train and test in files of their own, in every form that is read."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions
from recsys.data.splitting import TEST, TRAIN, VALIDATION, Split, split
from recsys.datasets.registry import load_dataset
from recsys.errors import ConfigError, DataError
from recsys.readers.reader import read_dataset

TRAIN_ROWS = [("a", "x", 1), ("a", "y", 2), ("a", "z", 3), ("a", "w", 4), ("b", "x", 5)]
VALID_ROWS = [("b", "y", 6)]
TEST_ROWS = [("a", "y", 9), ("b", "z", 7), ("cold", "x", 8), ("b", "new", 9)]


def text(rows: list[tuple[str, str, int]], separator: str = ",") -> str:
    lines = [("user_id", "item_id", "timestamp"), *rows]
    return "".join(separator.join(map(str, line)) + "\n" for line in lines)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        data = content.encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def rows_of(data: Interactions) -> set[tuple[str, str]]:
    return {
        (data.user_ids[u], data.item_ids[i]) for u, i in zip(data.users, data.items, strict=True)
    }


def made(dataset: Dataset, **options: object) -> Split:
    return split(dataset.interactions, given=dataset.parts, **options)


def expect_parts(dataset: Dataset) -> None:
    parts = made(dataset)
    assert parts.method == "given"
    assert rows_of(parts.train) == {(u, i) for u, i, _ in TRAIN_ROWS}
    assert rows_of(parts.validation) == {(u, i) for u, i, _ in VALID_ROWS}
    assert rows_of(parts.test) == {(u, i) for u, i, _ in TEST_ROWS[1:]}
    assert dataset.ready_made.n_dropped == 1


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "valid.csv", "test.csv"),
        ("Train.csv.gz", "validation.csv", "TEST.csv.gz"),
        ("shop_train.csv", "shop_val.csv", "shop_test.csv"),
        ("entrenamiento.csv", "validacion.csv", "prueba.csv"),
    ],
)
def test_three_files_are_three_parts(tmp_path: Path, names: tuple[str, str, str]) -> None:
    contents = (text(TRAIN_ROWS), text(VALID_ROWS), text(TEST_ROWS))
    write(tmp_path, dict(zip(names, contents, strict=True)))
    write(tmp_path, {"items.csv": "item_id,price\nx,1\n"})
    for path in (tmp_path, tmp_path / names[0]):
        dataset = read_dataset(path)
        expect_parts(dataset)
        assert dataset.item_table is not None


def test_forms_may_differ(tmp_path: Path) -> None:
    frame = pl.DataFrame(TRAIN_ROWS, schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_parquet(tmp_path / "train.parquet")
    write(tmp_path, {"valid.tsv": text(VALID_ROWS, "\t"), "test.csv": text(TEST_ROWS)})
    expect_parts(read_dataset(tmp_path))


def test_recbole_benchmark_files(tmp_path: Path) -> None:
    contents = {"train": TRAIN_ROWS, "valid": VALID_ROWS, "test": TEST_ROWS}
    write(tmp_path, {f"shop.{part}.inter": text(rows, "\t") for part, rows in contents.items()})
    write(tmp_path, {"shop.item": "item_id:token\tclass:token\nx\tA\n", "shop.inter": "ignored"})
    dataset = read_dataset(tmp_path)
    expect_parts(dataset)
    assert dataset.item_table.columns == ["item_id", "class"]


def test_adjacency_lists(tmp_path: Path) -> None:
    write(tmp_path, {"train.txt": "0 10 11 12\n1 11\n2\n\n3 10 \n", "test.txt": "0 13\n1 \n4 10\n"})
    dataset = read_dataset(tmp_path)
    assert dataset.interactions.times is None
    assert rows_of(made(dataset).test) == {("0", "13"), ("4", "10")}
    kept = [rows_of(part) for part in (made(dataset).train, made(dataset).validation)]
    assert kept[0] | kept[1] == {("0", "10"), ("0", "11"), ("0", "12"), ("1", "11"), ("3", "10")}
    assert len(kept[1]) == 1  # one of user 0's three
    assert dataset.interactions.user_ids == ("0", "1", "3", "4")


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("user,item\n1,2\n", "line 1 holds commas; if this is a table, name it .csv"),
        ("1 20 5\n1 21 3\n2 20 4\n", "1 line repeats the user of an earlier line"),
        ("", "is empty"),
        ("1\n2\n", "no rows"),
        ("1 n\xf1\n", "line 1: is not UTF-8"),
    ],
)
def test_what_is_no_adjacency_list(tmp_path: Path, train: str, expected: str) -> None:
    (tmp_path / "train.txt").write_bytes(train.encode("latin-1"))
    (tmp_path / "test.txt").write_text("1 2\n2 3\n")
    with pytest.raises(DataError, match=expected):
        read_dataset(tmp_path)


def test_pairs_one_a_line_are_adjacency_lists_too(tmp_path: Path) -> None:
    write(tmp_path, {"train.txt": "1 20\n1 21\n2 20\n1 22\n", "test.txt": "2 21\n"})
    assert len(read_dataset(tmp_path).interactions) == 5


def test_without_a_validation_file_it_is_taken_from_train(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": text(TRAIN_ROWS), "test.csv": text(TEST_ROWS)})
    parts = made(read_dataset(tmp_path))
    assert rows_of(parts.validation) == {("a", "w")}  # the newest of the only user with three
    assert rows_of(parts.final.relevant) == {(u, i) for u, i, _ in TEST_ROWS[1:]}
    assert len(parts.final.seen) == len(TRAIN_ROWS)


def test_an_empty_test_is_never_filled_from_train(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": text(TRAIN_ROWS), "test.csv": text(TRAIN_ROWS[:2])})
    with pytest.raises(DataError, match="0 test rows.*every user and item of the test file"):
        made(read_dataset(tmp_path))


def test_repeats_are_kept_if_asked_for(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": text(TRAIN_ROWS), "test.csv": text(TEST_ROWS)})
    dataset = read_dataset(tmp_path, repeats="keep")
    assert len(made(dataset).test) == len(TEST_ROWS)
    assert dataset.ready_made.n_dropped == 0


def test_parts_stay_with_their_rows_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i}", int(t)) for u, i, t in rng.integers(0, [20, 30, 50], (600, 3))]
    write(tmp_path, {"train.csv": text(rows[:400]), "test.csv": text(rows[400:])})
    dataset = read_dataset(tmp_path)
    assert rows_of(dataset.interactions.take(dataset.parts == TRAIN)) == {
        row[:2] for row in rows[:400]
    }
    assert rows_of(dataset.interactions.take(dataset.parts == TEST)) == {
        row[:2] for row in rows[400:]
    } - {row[:2] for row in rows[:400]}


def test_people_are_told_sizes_and_what_was_dropped(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": text(TRAIN_ROWS), "test.csv": text(TEST_ROWS)})
    lines: list[str] = []
    load_dataset(str(tmp_path), announce=lines.append)
    (line,) = lines
    assert line.startswith("ready-made split: 5 train, 0 validation and 3 test rows; dropped 1 row")
    assert line.endswith("; 2 test rows have a user or an item that is not in train")


def test_other_methods_put_all_rows_together(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": text(TRAIN_ROWS), "test.csv": text(TEST_ROWS)})
    dataset = read_dataset(tmp_path)
    parts = made(dataset, method="leave-one-out")
    assert (parts.parts != dataset.parts).any()
    assert sum(parts.counts) == len(dataset.interactions)


def test_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "train.csv": text(TRAIN_ROWS),
            "valid.csv": "user_id,thing\na,x\n",
            "test.csv": "user_id,item_id\na,x\n",
        },
    )
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path)
    assert len(caught.value.problems) == 2
    assert "no item column" in caught.value.problems[0]
    assert "'train.csv' have times, 'test.csv' have none" in caught.value.problems[1]


def test_two_candidates_for_one_part(tmp_path: Path) -> None:
    write(tmp_path, {name: text(TRAIN_ROWS) for name in ("train.csv", "train.tsv", "test.csv")})
    with pytest.raises(DataError, match="several files for train: 'train.csv', 'train.tsv'"):
        read_dataset(tmp_path)


def test_several_splits_in_one_folder(tmp_path: Path) -> None:
    write(
        tmp_path,
        {f"{name}.{part}.csv": text(TRAIN_ROWS) for name in "ab" for part in ("train", "test")},
    )
    with pytest.raises(DataError, match="several interactions files"):
        read_dataset(tmp_path)


def test_train_alone_is_no_split(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": text(TRAIN_ROWS)})
    assert read_dataset(tmp_path / "train.csv").parts is None
    with pytest.raises(DataError, match=r"train\.\* with test\.\*; found 'train.csv'"):
        read_dataset(tmp_path)


def test_given_without_files_says_what_it_needs() -> None:
    log = Interactions.from_ids("aaaa", "wxyz", [1, 2, 3, 4])
    with pytest.raises(ConfigError, match=r"needs data in a ready-made split: .* train\.\*"):
        split(log, "given")


def test_validation_of_the_files_is_kept(tmp_path: Path) -> None:
    contents = (text(TRAIN_ROWS), text(VALID_ROWS), text(TEST_ROWS))
    write(tmp_path, dict(zip(("train.csv", "dev.csv", "test.csv"), contents, strict=True)))
    dataset = read_dataset(tmp_path)
    assert (dataset.parts == VALIDATION).sum() == 1
    assert (made(dataset).parts == dataset.parts).all()
