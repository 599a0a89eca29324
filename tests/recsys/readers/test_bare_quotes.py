"""Bare quotes (12" discs) hide no row, and what cannot be parsed is told with its lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import DataError
from recsys.readers.reader import read_dataset

# Two bare quotes that no rule of CSV can tell from a text of three lines.
PAIRED = ["user\titem\tnote", 'u1\ti1\t"disc', "u2\ti2\tx", 'u3\ti3\tdisc"', "u4\ti4\ty", ""]
MIDDLE = ["user\tnote\titem", 'u1\t"disc\ti1', "u2\tx\ti2", 'u3\tdisc"\ti3', "u4\ty\ti4", ""]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("lines", [PAIRED, MIDDLE])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("name", ["log.tsv", "shop.inter"])
def test_bare_quotes_that_pair_up_across_lines_swallow_no_row(
    tmp_path: Path, name: str, end: str, lines: list[str]
) -> None:
    file = tmp_path / name
    file.write_bytes(end.join(lines).encode())
    found = read_dataset(file).interactions
    assert (found.user_ids, found.item_ids) == (("u1", "u2", "u3", "u4"), ("i1", "i2", "i3", "i4"))


def test_bare_quotes_in_one_part_leave_the_quotes_of_another_alone(tmp_path: Path) -> None:
    written(tmp_path / "part-0.tsv", 'user\titem\tnote\n"u8"\ti1\t"a\nb"\n"u9"\ti2\t\n')
    written(tmp_path / "part-1.tsv", "\n".join(PAIRED))
    assert read_dataset(tmp_path).interactions.user_ids == ("u1", "u2", "u3", "u4", "u8", "u9")


@pytest.mark.parametrize("names", [("log.tsv", "items.tsv"), ("shop.inter", "shop.item")])
def test_bare_quotes_in_the_table_of_items_swallow_no_row(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    log, items = (tmp_path / name.replace("log", "interactions") for name in names)
    written(log, "user\titem\na\ti1\nb\ti2\n")
    written(items, "\n".join(PAIRED).replace("user\titem", "item\tbrand"))
    table = read_dataset(log).item_table
    assert table is not None
    assert table["item_id"].to_list() == ["u1", "u2", "u3", "u4"]


def test_a_line_break_in_a_quoted_text_between_tabs_stays_in_it(tmp_path: Path) -> None:
    file = written(tmp_path / "log.tsv", 'user\titem\tnote\nu1\ti1\t"one\n\ntwo"\nu2\ti2\tx\n')
    assert read_dataset(file).interactions.user_ids == ("u1", "u2")


def test_lines_are_counted_without_quotes_where_quotes_are_letters(tmp_path: Path) -> None:
    lines = [*PAIRED[:4], "u4\t\ty", ""]
    file = written(tmp_path / "log.tsv", "\n".join(lines))
    with pytest.raises(DataError, match="line 5, column 'item': '' is no item id"):
        read_dataset(file)


@pytest.mark.parametrize("mark", [",", ";"])
@pytest.mark.parametrize("last", ['disc 12"', '7" and 12" discs'])
def test_inch_marks_in_a_csv_are_letters(tmp_path: Path, mark: str, last: str) -> None:
    lines = ["user,item,note", f"u1,i1,{last}", "u2,i2,x", 'u3,i3,disc 7"', ""]
    file = written(tmp_path / "log.csv", "\n".join(lines).replace(",", mark))
    assert read_dataset(file).interactions.user_ids == ("u1", "u2", "u3")
    written(tmp_path / "interactions.csv", "user,item\na,u1\nb,u2\n")
    lines[0] = "item_id,brand,note"
    written(tmp_path / "items.csv", "\n".join(lines).replace(",", mark))
    table = read_dataset(tmp_path / "interactions.csv").item_table
    assert table is not None
    assert table["item_id"].to_list() == ["u1", "u2", "u3"]
    assert table["note"].to_list() == [last, "x", 'disc 7"']


def test_quotes_that_cannot_be_parsed_are_told_with_their_lines(tmp_path: Path) -> None:
    rows = '"u1",i1,disc 12"\n"u2",i2,x\n"u3",i3,disc 7"\n"u4",i4,y\n'
    file = written(tmp_path / "log.csv", "user,item,note\n" + rows)
    with pytest.raises(DataError) as error:
        read_dataset(file)
    assert str(error.value).startswith(f"{file}: line 2, 4 have an odd number of quotes")
    assert 'in quotes and double those in it ("disc 12""")' in str(error.value)
    (tmp_path / "interactions.csv").write_text("user,item\nu1,i1\nu2,i2\n")
    (tmp_path / "users.csv").write_text("user,item,note\n" + rows)
    with pytest.raises(DataError, match="line 2, 4 have an odd number of quotes"):
        read_dataset(tmp_path / "interactions.csv")
