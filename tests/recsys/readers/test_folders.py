"""No file of a folder is left out silently, and the cure for a lone file is the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import DataError
from recsys.readers.reader import read_dataset

TWO = "user,item\n{0}1,x\n{0}2,y\n"


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("item,price\nx,1\n" if path.stem == "items" else TWO.format(path.stem))


def problem_of(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_dataset(path)
    return str(error.value)


@pytest.mark.parametrize("word", ["dev", "val", "test", "train"])
def test_a_log_whose_name_ends_in_a_word_of_splits_is_read(tmp_path: Path, word: str) -> None:
    write(tmp_path, "log_eu.csv", "log_us.csv", f"log_{word}.csv", "items.csv")
    assert len(read_dataset(tmp_path).interactions) == 6


@pytest.mark.parametrize("names", [("test.csv",), ("log_dev.csv", "log_test.csv"), ("Dev.csv",)])
def test_parts_of_a_split_beside_other_logs_are_refused_by_name(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    write(tmp_path, "log_eu.csv", "log_us.csv", *names)
    found = problem_of(tmp_path)
    assert f"{', '.join(map(repr, names))} look like parts of a ready-made split" in found
    assert "beside 'log_eu.csv', 'log_us.csv'; move or rename them" in found


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv",),
        ("shop_train.csv", "shop_valid.csv"),
        ("a_train.csv", "b_train.csv"),
        ("train.csv", "log.csv"),
    ],
)
def test_a_split_without_a_test_is_no_log_in_parts(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path, *names)
    assert "no interactions file" in problem_of(tmp_path)


def test_parts_in_folders_and_beside_them_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "date=2024-10-25/part-0.csv", "items.csv")
    assert len(read_dataset(tmp_path).interactions) == 2
    write(tmp_path, "part-1.csv")
    found = problem_of(tmp_path)
    assert "in folders (date=2024-10-25/part-0.csv) and beside them: 'part-1.csv'; move" in found


def test_a_folder_of_a_key_without_data_hides_no_parts(tmp_path: Path) -> None:
    write(tmp_path, "part-0.csv", "part-1.csv", "date=2024-10-25/_SUCCESS")
    assert len(read_dataset(tmp_path).interactions) == 4


def test_a_log_of_another_name_beside_items_says_how_both_are_read(tmp_path: Path) -> None:
    write(tmp_path, "items.csv", "log.csv")
    found = problem_of(tmp_path)
    assert f"pass the file itself, such as {tmp_path / 'log.csv'}, or rename it" in found
    assert "rename it interactions.csv, so that 'items.csv' are read with it" in found


def test_a_log_named_like_its_extension_keeps_the_extension_in_the_cure(tmp_path: Path) -> None:
    write(tmp_path, "items.csv", "s.csv")
    assert "rename it interactions.csv, so that" in problem_of(tmp_path)


def test_other_tables_beside_folders_of_parts_are_left_out_with_a_note(tmp_path: Path) -> None:
    write(tmp_path, "date=2024-10-25/part-0.csv", "items.csv")
    (tmp_path / "schema.json").write_text('{"user": "string"}\n')
    (tmp_path / "countries.csv").write_text("code,name\nES,Spain\n")
    data = read_dataset(tmp_path)
    assert len(data.interactions) == 2
    told = "not read: 'countries.csv', 'schema.json', of another form than the files in folders"
    assert any(note.startswith(told) for note in data.notes)
