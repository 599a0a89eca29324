"""The separator of a text table by its first lines, where quoted marks are letters."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from recsys.readers.columns import matching_columns

LOOKED_AT = 20  # first lines, which decide the separator
SEPARATORS = (",", ";", "\t", "|")
DOUBLE_COLON = "::"  # MovieLens; polars and csv parse separators of one letter only
# A quote opens a cell only at its beginning; 12" is a length. The last line may end in a cell.
_QUOTED = re.compile(r'(?<![^,;\t|:\n])"(?:[^"]|"")*(?:"|\Z)')


def separator_of(lines: Sequence[str], usual: str, *, double_colon: bool) -> str:
    """Return the separator of the first lines of a table.

    1. "::" if it may be, and stands before the usual one.
    2. The mark under which most of the columns of users and items are recognised in the first line.
    3. The usual one if the first line has it, unless another mark divides all lines into equally
       many fields, and the usual one does not ("Boston, MA;1;5" in a .csv), or the other one occurs
       more often and before the usual one in each line: "1;5;3,5", but not "1,5,Drama|War|Crime".
    4. The mark that divides all lines into equally many fields, the most frequent one.

    Args:
        lines: the first lines that are not blank, at least one; a header first.
        usual: separator that belongs to the extension.
        double_colon: True if "::" may be the separator.
    """
    first, *others = _unquoted(lines)
    if double_colon and 0 <= first.find(DOUBLE_COLON) < _place(first, usual):
        return DOUBLE_COLON
    n_of = {mark: first.count(mark) for mark in SEPARATORS}
    n_named = {mark: _n_recognised(lines[0], mark) for mark in SEPARATORS}
    best = [mark for mark, n in n_named.items() if n == max(n_named.values())]
    if len(best) == 1:
        return best[0]
    steady = {mark for mark, n in n_of.items() if n and all(n == x.count(mark) for x in others)}
    if n_of[usual]:
        if usual == "\t" and usual in steady:
            return usual  # texts hardly hold tabs
        rivals = [
            mark
            for mark in steady
            if usual not in steady
            or (
                n_of[mark] > n_of[usual]
                and all(line.find(mark) < _place(line, usual) for line in (first, *others))
            )
        ]
        return max(rivals, key=n_of.__getitem__, default=usual)
    return max(SEPARATORS, key=lambda mark: (mark in steady, n_of[mark], mark == usual))


def _n_recognised(header: str, mark: str) -> int:
    """Return how many of the columns of users and items a header names if a mark divides it."""
    names = next(csv.reader([header], delimiter=mark), [])
    return sum(bool(matching_columns(role, names)) for role in ("user", "item")) * (len(names) > 1)


def _unquoted(lines: Sequence[str]) -> list[str]:
    """Return the lines without their quoted cells; line breaks in quotes join lines."""
    text = _QUOTED.sub("", "\n".join(lines))
    # The first line may be quoted as a whole, but it is still the first.
    return [line for number, line in enumerate(text.split("\n")) if line.strip() or not number]


def _place(line: str, mark: str) -> int:
    """Return the position of a mark in a line; the line's length if it has none."""
    return line.find(mark) if mark in line else len(line)
