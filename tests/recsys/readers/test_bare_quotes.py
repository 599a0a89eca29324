"""Bare quotes (12" discs) hide no row, and what cannot be parsed is told with its lines."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from recsys.errors import DataError
from recsys.readers.reader import read_dataset

# Two quotes that no rule of CSV can tell from a text of three lines.
PAIRED = ["user\titem\tnote", 'u1\ti1\t"disc', "u2\ti2\tx", 'u3\ti3\tdisc"', "u4\ti4\ty", ""]
MIDDLE = ["user\tnote\titem", 'u1\t"disc\ti1', "u2\tx\ti2", 'u3\tdisc"\ti3', "u4\ty\ti4", ""]
# Quotes inside cells, which are letters.
INCHES = [line.replace('"disc', '12" disc').replace('disc"', 'disc 7"') for line in PAIRED]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("lines", [PAIRED, MIDDLE])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("name", ["log.tsv", "shop.inter", "log.csv", "log.csv.gz"])
def test_a_quoted_text_of_lines_that_may_be_rows_is_told(
    tmp_path: Path, name: str, end: str, lines: list[str]
) -> None:
    file = tmp_path / name
    data = end.join(lines).replace("\t", "," if "csv" in name else "\t").encode()
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found = read_dataset(file)
    assert found.interactions.user_ids == ("u1", "u4")
    last = 6 if end == "\n\n" else 4
    told = f"quotes: {file}: line {2 if last == 4 else 3} to {last + last // 6}: read as a text of"
    assert any(note.startswith(told) for note in found.notes)


@pytest.mark.parametrize("name", ["items.tsv", "items.csv"])
def test_a_pasted_table_in_a_quoted_cell_stays_in_it_and_is_told(tmp_path: Path, name: str) -> None:
    mark = "\t" if name.endswith("tsv") else ","
    text = 'item_id\tg\ni1\t"x\nfoo\tbar"\ni2\ty\n'.replace("\t", mark)
    file = written(tmp_path / name, text)
    written(tmp_path / "interactions.csv", "user,item\na,i1\nb,i2\n")
    data = read_dataset(tmp_path / "interactions.csv")
    assert data.item_table is not None
    assert data.item_table.rows() == [("i1", f"x\nfoo{mark}bar"), ("i2", "y")]
    assert any(note.startswith(f"quotes: {file}: line 2 to 3: read as") for note in data.notes)


def test_texts_over_lines_that_are_no_rows_are_not_told(tmp_path: Path) -> None:
    rows = 'u1,i1,"Great, yes\nbut, alas, no"\nu2,i2,"a\n\nb, c"\n"u3","i, 3","say ""hi"""\n'
    file = written(tmp_path / "log.csv", "user,item,note\n" + rows)
    found = read_dataset(file)
    assert found.interactions.user_ids == ("u1", "u2", "u3")
    assert not [note for note in found.notes if note.startswith("quotes")]


def test_quotes_inside_cells_of_one_part_leave_the_quotes_of_another_alone(tmp_path: Path) -> None:
    written(tmp_path / "part-0.tsv", 'user\titem\tnote\n"u8"\ti1\t"a\nb"\n"u9"\ti2\t\n')
    written(tmp_path / "part-1.tsv", "\n".join(INCHES))
    assert read_dataset(tmp_path).interactions.user_ids == ("u1", "u2", "u3", "u4", "u8", "u9")


@pytest.mark.parametrize("names", [("log.tsv", "items.tsv"), ("shop.inter", "shop.item")])
def test_quotes_inside_cells_of_items_and_logs_are_letters(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    log, items = (tmp_path / name.replace("log", "interactions") for name in names)
    written(log, "\n".join(INCHES))
    written(items, "\n".join(INCHES).replace("user\titem", "item\tbrand"))
    data = read_dataset(log)
    assert data.interactions.user_ids == ("u1", "u2", "u3", "u4")
    assert data.item_table is not None
    assert data.item_table["item_id"].to_list() == ["u1", "u2", "u3", "u4"]


@pytest.mark.parametrize("side", ["interactions.tsv", "items.tsv"])
def test_quotes_never_become_part_of_an_id(tmp_path: Path, side: str) -> None:
    written(tmp_path / "interactions.tsv", "user\titem\na\tu1\nb\tu2\n")
    head = "user\titem\tnote" if side.startswith("inter") else "brand\titem\tnote"
    file = written(tmp_path / side, "\n".join([head, *INCHES[1:-1], '"u5"\t"i5"\tz\n']))
    with pytest.raises(DataError) as error:
        read_dataset(tmp_path)
    expected = f"{file}: line 6, column 'item': the id is in quotes, but quotes inside other texts"
    assert expected in str(error.value)


def test_a_line_break_in_a_quoted_text_between_tabs_stays_in_it(tmp_path: Path) -> None:
    file = written(tmp_path / "log.tsv", 'user\titem\tnote\nu1\ti1\t"one\n\ntwo"\nu2\ti2\tx\n')
    assert read_dataset(file).interactions.user_ids == ("u1", "u2")


def test_lines_are_counted_without_quotes_where_quotes_are_letters(tmp_path: Path) -> None:
    lines = [*INCHES[:4], "u4\t\ty", ""]
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
    assert str(error.value).startswith(f"{file}: line 2, 4 have a quote that stays open or stands")
    assert 'in quotes and double those in it ("disc 12""")' in str(error.value)
    (tmp_path / "interactions.csv").write_text("user,item\nu1,i1\nu2,i2\n")
    (tmp_path / "users.csv").write_text("user,item,note\n" + rows)
    with pytest.raises(DataError, match="line 2, 4 have a quote that stays open"):
        read_dataset(tmp_path / "interactions.csv")


@pytest.mark.parametrize(
    ("bad", "after"),
    [
        ('u9,i9,disc 12"', "u2,i2,x"),
        ('u9,i9,"disc', "u2,i2,x"),
        ('u9,i9,"disc', '"u2",i2,x'),
        ('u9,i9,"disc" 7" and more', "u2,i2,x"),
        ('u9,i9,"disc', 'u2,i2,"one\ntwo"'),
    ],
)
def test_only_the_line_with_the_bad_quote_is_blamed(tmp_path: Path, bad: str, after: str) -> None:
    lines = ["user,item,note", 'u1,i1,"one', "", 'two, ""three"""', bad, after, "u3,i3,y", ""]
    file = written(tmp_path / "log.csv", "\n".join(lines))
    with pytest.raises(DataError, match="line 5 has a quote that stays open or stands inside"):
        read_dataset(file)
