"""Quotes of a text table: cells over several lines that may be rows, and quotes inside cells.

polars reads a quoted cell over line breaks as CSV says, and refuses most texts with stray quotes;
this module only says where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from recsys.readers.tables.text import TextForm, open_bytes

_CHUNK = 1 << 20  # bytes
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Quotes:
    """The places of quotes that need a person's eye.

    Attributes:
        stray: numbers of the lines with a quote inside a cell, with text after a closing quote, or
            with a quote that stays open.
        doubtful: (first, last) line of each quoted cell over several lines all of which have the
            right number of separators, so that they may be rows.
    """

    stray: list[int] = field(default_factory=list)
    doubtful: list[tuple[int, int]] = field(default_factory=list)


def hides_lines(path: Path, form: TextForm, n_rows: int) -> bool:
    """Return True if a text with quotes has more lines than rows.

    Args:
        path: the file.
        form: form of the text.
        n_rows: number of rows that were read, blank lines included.
    """
    if not any(b'"' in chunk for chunk in _chunks(path)):
        return False
    n_lines, last = 0, b""
    for chunk in _chunks(path):
        n_lines, last = n_lines + chunk.count(b"\n"), chunk[-1:]
    return n_lines + (last != b"\n") - form.header_line > n_rows


def quotes_of(path: Path, form: TextForm, n_lines: int | None = None) -> Quotes:
    """Return the stray quotes and doubtful cells of a text.

    Args:
        path: the file.
        form: form of the text; its separator is one character.
        n_lines: number of lines to look at; None: all.
    """
    mark, width = form.separator.encode(), len(form.names)
    cell = _cell(mark)
    found = Quotes()
    first, fits = 0, True  # line on which the open cell began, or 0; True if its lines may be rows
    with open_bytes(path) as file:
        for number, raw in enumerate(islice(file, n_lines), start=1):
            if number <= form.header_line or not (first or b'"' in raw):
                continue
            line = raw.removeprefix(_BOM if number == 1 else b"").rstrip(b"\r\n")
            bare = cell.sub(b"", line)
            may_be_row = not line.strip() or bare.count(mark) + 1 == width
            if first:
                fits = fits and may_be_row
                end = line.replace(b'""', b"  ").find(b'"')
                if end < 0:
                    continue
                if fits:
                    found.doubtful.append((first, number))
                text, after, rest = line[end + 1 :].partition(mark)
                # A quote that closes before a text was left open, so this line stands for itself.
                if text.strip():
                    found.stray.append(first)
                else:
                    bare = cell.sub(b"", after + rest)
                first = 0
            opens, is_stray = _left_open(bare, mark)
            if is_stray:
                found.stray.append(number)
            if opens:
                first, fits = number, may_be_row
    if first:
        found.stray.append(first)
    return found


def _cell(mark: bytes) -> re.Pattern[bytes]:
    """Return the pattern of a whole quoted cell."""
    mark = re.escape(mark)
    return re.compile(rb'(?:^|(?<=%b)) *"[^"]*(?:""[^"]*)*" *(?=%b|$)' % (mark, mark))


def _left_open(line: bytes, mark: bytes) -> tuple[bool, bool]:
    """Return whether the last quoted cell goes on, and whether a quote stands inside a cell.

    Args:
        line: a line without its whole quoted cells.
        mark: the separator.
    """
    is_stray = False
    cells = line.split(mark) if b'"' in line else []
    for place, text in enumerate(cells):
        if text.lstrip(b" ").startswith(b'"'):
            rest = mark.join(cells[place:]).lstrip(b" ")[1:]
            if b'"' not in rest.replace(b'""', b""):
                return True, is_stray
        is_stray = is_stray or b'"' in text
    return False, is_stray


def _chunks(path: Path) -> Iterator[bytes]:
    with open_bytes(path) as file:
        yield from iter(lambda: file.read(_CHUNK), b"")
