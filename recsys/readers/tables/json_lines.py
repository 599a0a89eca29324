"""JSON lines: an object on each line, read as a table of text.

    {"reviewerID": "A14", "asin": "B37", "unixReviewTime": 1502851780}

Numbers keep their digits, a missing key and null are an empty cell, and nested values are their
JSON; `with_lists` makes lists of the arrays in tables of users and items.
"""

from __future__ import annotations

import codecs
import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

import polars as pl

from recsys.data import Ints64
from recsys.messages import SHOWN, and_more
from recsys.readers.tables.table import Table
from recsys.readers.tables.text import BadTextError, open_bytes, undecodable_lines

EXTENSIONS = (".jsonl", ".ndjson", ".json")
_SEEN_LINES = 1000  # lines whose keys are the columns


@dataclass(frozen=True)
class JsonTable(Table):
    """A file of JSON lines as a table of text."""

    @property
    def is_text(self) -> bool:
        """Return True, since numbers are read as their digits."""
        return True

    @property
    def row_word(self) -> str:
        """Return "line", the word for a position in this file."""
        return "line"

    def line_numbers(self, rows: Sequence[int] | Ints64) -> list[int]:
        """Return the line numbers of the first SHOWN row positions.

        Args:
            rows: row positions from 0, ascending.
        """
        shown = [int(row) for row in rows[:SHOWN]]
        wanted = set(shown)
        with open_bytes(self.path) as file:
            filled = (number for number, line in enumerate(file, 1) if line.strip())
            head = islice(filled, shown[-1] + 1)
            return [number for row, number in enumerate(head) if row in wanted]

    def _scan_file(self) -> pl.LazyFrame:
        # scan_ndjson takes wildcards, and has no option to take a name as it is
        rows = pl.scan_ndjson(
            glob.escape(str(self.path)), schema=dict.fromkeys(self.own_names, pl.String)
        )
        return rows.with_columns(pl.all().fill_null(""))


def open_json(path: Path) -> JsonTable:
    """Return a file of JSON lines as a table whose columns are the keys of its first lines.

    Args:
        path: the file.

    Raises:
        BadTextError: the file is empty, or its first lines are not JSON objects.
    """
    names: dict[str, None] = {}
    for number, line in islice(_filled_lines(path), _SEEN_LINES):
        found = _object_on(line)
        if isinstance(found, str):
            if line.lstrip(b" \t\xef\xbb\xbf").startswith(b"["):
                raise BadTextError(
                    f"line {number}: is a JSON array; write one object per line (JSON lines), "
                    "without brackets and commas around them"
                )
            if lines := undecodable_lines(path, 1):
                raise BadTextError(f"line {lines[0]}: is not UTF-8; save the file again as UTF-8")
            raise BadTextError(f"line {number}: {found}")
        names |= dict.fromkeys(found)
    if not names:
        raise BadTextError("is empty; it needs a JSON object on each line")
    return JsonTable(path, tuple(names), None)


def with_lists(column: pl.Series) -> pl.Series:
    """Return a column of lists if each filled cell is a JSON array of plain values, else as it is.

    Arrays in arrays, as Amazon's paths of categories are, become one list a cell.

    Args:
        column: text as read from JSON lines; "" where there is no value.
    """
    text = column.set(column == "", None)
    filled = text.drop_nulls()
    if not len(filled) or not filled.str.contains(r"(?s)^\[.*\]$").all():
        return column
    # polars cuts fractions off for Int64, and drops whole numbers that are too long for it.
    has_text, has_fraction = (
        filled.str.contains(mark).any() for mark in (r'"|true|false|[\[,\s-]\d{19}', "[.eE]")
    )
    numbers = pl.Float64 if has_fraction else pl.Int64
    for kind in (pl.String,) if has_text else (numbers, pl.String):
        try:
            return text.str.json_decode(pl.List(kind))
        except pl.exceptions.PolarsError:
            continue
    try:
        nested = text.str.json_decode(pl.List(pl.List(pl.String)))
    except pl.exceptions.PolarsError:
        return column
    return nested.list.eval(pl.element().explode())


def faulty_lines(path: Path) -> list[str]:
    """Return a problem for each kind of line without a JSON object; none if all have one.

    Args:
        path: the file.
    """
    bad: dict[str, list[int]] = {}
    for number, line in _filled_lines(path):
        if isinstance(fault := _object_on(line), str):
            bad.setdefault(fault, []).append(number)
    return [
        f"{path}: line {', '.join(map(str, lines[:SHOWN]))}{and_more(len(lines))}: {fault}"
        for fault, lines in bad.items()
    ]


_NO_OBJECT = (
    'is not a JSON object such as {"user_id": "u1", "item_id": "i1"} (cut off? names and texts '
    "need double quotes); mend or delete the line"
)
_MARK = (
    "begins with a byte order mark; save the file again as UTF-8 without it (without BOM), or "
    "delete it at the start of this line"
)
_NO_NUMBER = "holds NaN or Infinity, which are no JSON; write null instead"


def _filled_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with open_bytes(path) as file:
        yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())


class _NoNumberError(ValueError):
    """NaN or Infinity, which Python's JSON has and JSON has not."""


def _refuse(constant: str) -> NoReturn:
    """Refuse a constant that is no JSON.

    Raises:
        _NoNumberError: always.
    """
    raise _NoNumberError(constant)


def _object_on(line: bytes) -> dict[str, object] | str:
    """Return the object on a line, or the reason why there is none, with a cure."""
    if line.startswith(codecs.BOM_UTF8) and not line.removeprefix(codecs.BOM_UTF8).startswith(b"["):
        return _MARK
    try:
        found = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse)
    except _NoNumberError:
        return _NO_NUMBER
    except ValueError:
        return _NO_OBJECT
    return found if isinstance(found, dict) else _NO_OBJECT
