"""Explanations of files that cannot be read, in plain words and without any of their cells.

polars quotes cells in its messages, and a cell may be somebody's name, so no message of polars is
passed on.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import polars as pl

from recsys.messages import SHOWN, and_more
from recsys.readers.paths import extension_of
from recsys.readers.tables.json_lines import JsonTable, faulty_lines
from recsys.readers.tables.quotes import quotes_of
from recsys.readers.tables.table import ARROW, READ_ERRORS, Table
from recsys.readers.tables.text import undecodable_lines


def explain(table: Table, error: BaseException, problems: list[str]) -> None:
    """Add a problem that explains polars' error: bytes, ragged lines, damage or quotes.

    Args:
        table: the table that polars refused.
        error: the error of polars.
        problems: list that receives a line for each problem found.
    """
    if table.parts == (table,):
        _explain_file(table, error, problems)
        return
    for part in table.parts:
        try:
            for _ in part.batches([pl.all()]):
                pass
        except READ_ERRORS as failure:
            _explain_file(part, failure, problems)


def _explain_file(table: Table, error: BaseException, problems: list[str]) -> None:
    before = len(problems)
    try:
        if isinstance(table, JsonTable) or table.form is not None:
            lines = undecodable_lines(table.path)
            if lines:
                numbers = ", ".join(map(str, lines[:SHOWN])) + and_more(len(lines))
                verb = "is" if len(lines) == 1 else "are"
                problems.append(
                    f"{table.path}: line {numbers}: {verb} not UTF-8; save the file again as UTF-8"
                )
            elif isinstance(table, JsonTable):
                problems.extend(faulty_lines(table.path))
            else:
                table.irregular(problems)
                if stray := _stray_quotes(table):
                    # A stray quote moves the cells of healthy lines, so it is told with them.
                    start = f"{problems.pop()};" if len(problems) > before else f"{table.path}:"
                    problems.append(f"{start} {stray}")
    except READ_ERRORS as damage:
        error = damage
    if len(problems) == before:
        problems.append(f"{table.path}: {damage_of(table.path, error)}")


def _stray_quotes(table: Table) -> str | None:
    lines = quotes_of(table.path, table.form).stray if table.form and table.form.quote else []
    if not lines:
        return None
    numbers = ", ".join(map(str, lines[:SHOWN])) + and_more(len(lines))
    verb = "has" if len(lines) == 1 else "have"
    return (
        f"line {numbers} {verb} a quote that stays open or stands inside a text, so the table "
        "cannot be parsed; remove the quotes, or put the text in quotes and double those in it "
        '("disc 12""")'
    )


def damage_of(path: Path, error: BaseException) -> str:
    """Return the reason for an unreadable file, in plain words and without any cell of it.

    Args:
        path: the file.
        error: the exception of the read.
    """
    if isinstance(error, PermissionError):
        return "permission denied; make it readable"
    if extension_of(path) == ".parquet":
        return "is not a whole Parquet file (cut off, or another format); write it again"
    if extension_of(path) in ARROW:
        return (
            "is not a whole Arrow file (cut off, a stream, or another format); write it again in "
            "the file form (Feather version 2)"
        )
    if isinstance(error, (OSError, EOFError, zlib.error)):
        return "is cut off or damaged (gzip); copy or compress it again"
    return "cannot be parsed as a table; look for an unclosed quote, or write it again"
