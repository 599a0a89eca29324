"""Text tables as bytes and lines: opening, header, blank and ragged lines.

polars reads the rows (table.py). This module reads headers, and finds the faulty lines after
polars refused a file or a batch looked odd.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, cast

import numpy as np
import polars as pl

from recsys.data import Ints64
from recsys.readers.tables.separators import DOUBLE_COLON, LOOKED_AT, separator_of

GZIP_MAGIC = b"\x1f\x8b"
# Exceptions of the standard library for a damaged file, besides OSError.
DAMAGE = (csv.Error, EOFError, zlib.error, gzip.BadGzipFile)
ATOMIC_TYPES = (":token", ":token_seq", ":float", ":float_seq")
_EXCEL = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)  # Excel's line before the header
_HEADER_LIMIT = 1 << 20  # bytes; a longer first line is not a header
_FIELD_LIMIT = (1 << 31) - 1  # characters; the largest C long on Windows


@dataclass(frozen=True)
class TextForm:
    """The form of one text table.

    Attributes:
        names: column names, unique, in file order.
        separator: one character, or "::".
        quote: quote character, or None if quotes are ordinary letters.
        header_line: line number of the header, from 1; 0 if there is none.
    """

    names: tuple[str, ...]
    separator: str
    quote: str | None
    header_line: int


class BadTextError(Exception):
    """An unusable header or file; the message says why and gives a cure."""


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading bytes, unpacked if its first bytes (not its name) say gzip."""
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP_MAGIC
    return cast("IO[bytes]", gzip.open(path)) if packed else path.open("rb")


def read_form(
    path: Path, separator: str, *, atomic: bool = False, is_dat: bool = False
) -> TextForm:
    """Read the header line and return the form of the table.

    Args:
        path: the file.
        separator: separator that belongs to the extension. The first lines may show another one
            (spreadsheets in Spanish write semicolons into .csv).
        atomic: True for RecBole's form `user_id:token`, with types to strip from the names.
        is_dat: True for MovieLens' form, in which "::" may be the separator.

    Raises:
        BadTextError: the file is empty, not UTF-8 or not text, or two columns have one name.
    """
    header_line, lines = _first_lines(path)
    if (said := _EXCEL.fullmatch(lines[0])) and len(lines) > 1:
        header_line, lines, separator = header_line + 1, lines[1:], said[1]
    else:
        separator = separator_of(lines, separator, double_colon=is_dat)
    names = [name.strip() for name in _fields(lines[0], separator)]
    if atomic:
        names = [_without_type(name) for name in names]
    names = [name or f"column_{number}" for number, name in enumerate(names, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadTextError(f"line {header_line}: two columns are named {twice[0]!r}; rename one")
    return TextForm(tuple(names), separator, _quote_of(separator), header_line)


def read_headless_form(path: Path, separator: str) -> TextForm:
    """Return the form of a table without a header line, with the columns "1", "2", and so on.

    Args:
        path: the file.
        separator: separator that belongs to the extension; the first lines may show another one.

    Raises:
        BadTextError: the file is empty, not UTF-8 or not text.
    """
    _, lines = _first_lines(path)
    separator = separator_of(lines, separator, double_colon=True)
    names = tuple(str(place) for place in range(1, len(_fields(lines[0], separator)) + 1))
    return TextForm(names, separator, _quote_of(separator), 0)


def _quote_of(separator: str) -> str | None:
    return None if separator == DOUBLE_COLON else '"'


def _fields(line: str, separator: str) -> list[str]:
    if separator == DOUBLE_COLON:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator))


def irregular_rows(path: Path, form: TextForm) -> tuple[Ints64, list[tuple[int, int]]]:
    """Return blank lines and ragged lines.

    Costs one pass in polars if no quote character occurs, else one in Python.

    Args:
        path: the file.
        form: form of the text.

    Returns:
        (row positions of blank lines, from 0; (line, number of fields) of each ragged line).
    """
    width = len(form.names)
    lines = pl.scan_lines(path, row_index_name="row", glob=False).slice(form.header_line)
    quoted = pl.col("line").str.contains('"', literal=True).any()
    if form.quote and lines.select(quoted).collect(engine="streaming").item():
        return _irregular_quoted(path, form)
    odd = (
        lines.select(
            pl.col("row").cast(pl.Int64) - form.header_line,
            fields=pl.col("line").str.count_matches(form.separator, literal=True) + 1,
            blank=pl.col("line").str.strip_chars() == "",
        )
        .filter(pl.col("fields") != width)
        .collect(engine="streaming")
    )
    ragged = odd.filter(~pl.col("blank"))
    numbers = (ragged["row"] + form.header_line + 1).to_list()
    return (
        odd.filter("blank")["row"].to_numpy(),
        list(zip(numbers, ragged["fields"].to_list(), strict=True)),
    )


def has_inch_marks_only(path: Path, form: TextForm) -> bool:
    """Return True if all lines have the right number of fields and none begins with a quote.

    Args:
        path: the file.
        form: form of the text, with quotes as letters.
    """
    if irregular_rows(path, form)[1]:
        return False
    opening = pl.col("line").str.contains(rf'(?:^|{re.escape(form.separator)})\s*"')
    lines = pl.scan_lines(path, glob=False).slice(form.header_line)
    return not lines.select(opening.any()).collect(engine="streaming").item()


def line_numbers(path: Path, form: TextForm, rows: Sequence[int]) -> list[int]:
    """Return the line on which each row starts, with line breaks inside quotes counted.

    Args:
        path: the file.
        form: form of the text.
        rows: row positions from 0, ascending, at least one.
    """
    wanted, lines = set(rows), []
    for row, (line, _) in enumerate(islice(_records(path, form), max(rows) + 1)):
        if row in wanted:
            lines.append(line)
    return lines


def undecodable_lines(path: Path, limit: int | None = None) -> list[int]:
    """Return the numbers of the lines that are not UTF-8.

    Args:
        path: the file.
        limit: largest number of lines returned, the first ones; None for all.
    """
    with open_bytes(path) as file:
        return list(islice((n for n, line in enumerate(file, 1) if not _is_utf8(line)), limit))


def _first_lines(path: Path) -> tuple[int, list[str]]:
    """Return the number of the first line that is not blank, and the texts of it and the next.

    Raises:
        BadTextError: there is no such line, or it is not UTF-8 text.
    """
    with open_bytes(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(_HEADER_LIMIT), b""), start=1):
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise BadTextError("line 1: is UTF-16, not UTF-8; save it again as UTF-8")
            if line.strip(b" \t\r\n\xef\xbb\xbf") == b"":
                continue
            if b"\0" in line or len(line) == _HEADER_LIMIT:
                raise BadTextError(f"line {number}: is not text; give a CSV, TSV or Parquet file")
            if not _is_utf8(line):
                raise BadTextError(f"line {number}: is not UTF-8; save it again as UTF-8")
            text = line.decode("utf-8-sig").rstrip("\r\n")
            if "\r" in text:
                raise BadTextError(
                    "line 1: lines end in bare carriage returns; save it with newlines"
                )
            more = islice(iter(lambda: file.readline(_HEADER_LIMIT), b""), LOOKED_AT - 1)
            others = [line.decode(errors="replace").rstrip("\r\n") for line in more]
            return number, [text, *(other for other in others if other.strip())]
    raise BadTextError("is empty; it needs a header line and rows")


def _records(path: Path, form: TextForm) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, fields) of every data row, blank lines included."""
    csv.field_size_limit(_FIELD_LIMIT)  # the default, 128 KiB, is less than polars accepts
    with open_bytes(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
        for _ in range(form.header_line):
            text.readline()
        if form.separator == DOUBLE_COLON:
            for number, line_text in enumerate(text, start=form.header_line + 1):
                yield number, line_text.rstrip("\r\n").split(DOUBLE_COLON)
            return
        reader = (
            csv.reader(text, delimiter=form.separator)
            if form.quote
            else csv.reader(text, delimiter=form.separator, quoting=csv.QUOTE_NONE)
        )
        line = form.header_line + 1
        for fields in reader:
            yield line, fields
            line = form.header_line + 1 + reader.line_num


def _irregular_quoted(path: Path, form: TextForm) -> tuple[Ints64, list[tuple[int, int]]]:
    blank, ragged = [], []
    for row, (line, fields) in enumerate(_records(path, form)):
        if len(fields) != len(form.names):
            if "".join(fields).strip():
                ragged.append((line, len(fields)))
            else:
                blank.append(row)
    return np.array(blank, np.int64), ragged


def _without_type(name: str) -> str:
    for kind in ATOMIC_TYPES:
        name = name.removesuffix(kind)
    return name


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
