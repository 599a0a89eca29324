"""The separator of a text is the mark that makes a table of it, and quoted marks are letters."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.readers.columns import Columns
from recsys.readers.reader import read_dataset

BY_POSITION = Columns("1", "2", header=False)


def ids_of(
    tmp_path: Path, name: str, text: str, columns: Columns
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    file = tmp_path / name
    file.write_text(text)
    found = read_dataset(file, columns).interactions
    return found.user_ids, found.item_ids


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.csv", "1,5,Action|Comedy|Drama|War\n2,6,Action\n"),
        ("log.csv", "1,5,Action|Comedy|Drama|War\n2,6,A|B|C|D\n"),
        ("log.csv", '1,5,"a;b;c;d"\n2,6,"a;b;c;d"\n'),
        ("log.csv", '"1","5",x\n"2","6",y\n'),
        ("log.csv", "1,5,What::Ever\n2,6,\n"),
        ("log.tsv", "1\t5\tHello, big, wide, world\n2\t6\tHello, big, wide, world\n"),
        ("log.txt", "1\t5\tHello, big, wide, world\n2\t6\tx\n"),
        # another separator than the usual one
        ("log.csv", "1;5;3,5\n2;6;4,5\n"),
        ("log.csv", "1;5;Boston, MA\n2;6;Austin, TX\n"),
        ("log.csv", "1;5;Hello, big, wide, world\n2;6;x\n"),
        ("log.csv", "1|5|a;b;c;d\n2|6|a\n"),
        ("log.csv", '1,5,a|b\n2,6,"a, b|c\nd"\n'),
        ("log.csv", "1\t5\t3\n2\t6\t4\n"),
        ("log.csv", "1::5::3,5::9\n2::6::4::9\n"),
        ("log.tsv", "1,5,3\n2,6,4\n"),
        ("log.txt", "1,5,a|b|c|d\n2,6,a\n"),
    ],
)
def test_lists_and_texts_in_the_first_line_are_no_fields(
    tmp_path: Path, name: str, text: str
) -> None:
    assert ids_of(tmp_path, name, text, BY_POSITION) == (("1", "2"), ("5", "6"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.csv", 'user_id,item_id,"a|b|c|d"\n1,5,x\n2,6,y\n'),
        ("log.csv", "user_id,item_id,a|b|c|d\n1,5,x\n2,6,y\n"),
        ("log.tsv", "user_id\titem_id\tlast, first, title\n1\t5\tx\n2\t6\ty\n"),
        ("log.csv", 'user_id,item_id,note\n1,5,"two\nlines;;;;"\n2,6,y\n'),
        # another separator than the usual one
        ("log.csv", "user_id;item_id;price, EUR\n1;5;2,5\n2;6;3\n"),
        ("log.csv", "user_id;item_id;a|b|c|d\n1;5;x\n2;6;y\n"),
        ("log.csv", "user_id;item_id\n1;5\n2;6\n"),
        ("log.csv", "precio (€, IVA);user_id;item_id\n3;1;5\n4;2;6\n"),
        ("log.csv", "name, first;user_id;item_id\nx, y;1;5\nv, w;2;6\n"),
        ("log.csv", "a|b|c|d,user_id,item_id\nx|y|z|w,1,5\nx|y|z|w,2,6\n"),
    ],
)
def test_marks_in_the_names_of_columns_are_letters(tmp_path: Path, name: str, text: str) -> None:
    assert ids_of(tmp_path, name, text, Columns()) == (("1", "2"), ("5", "6"))


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
@pytest.mark.parametrize("rows", ["1;5\n2;6\n", '1;"5"\n2;6\n'])
def test_the_line_of_excel_says_the_separator(tmp_path: Path, first: str, rows: str) -> None:
    text = f"{first}\nuser_id;item_id\n{rows}"
    assert ids_of(tmp_path, "log.csv", text, Columns()) == (("1", "2"), ("5", "6"))
