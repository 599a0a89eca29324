"""The separator of a text table by its first lines, where quoted marks are letters."""

from __future__ import annotations

import re
from collections.abc import Sequence

SEPARATORS = (",", ";", "\t", "|")
DOUBLE_COLON = "::"  # MovieLens; polars and csv parse separators of one letter only
# A quote opens a cell only at its beginning; 12" is a length.
_QUOTED = re.compile(r'(?<![^,;\t|:\n])"(?:[^"]|"")*"')


def separator_of(lines: Sequence[str], usual: str, *, double_colon: bool) -> str:
    """Return the separator of the first lines of a table.

    It is the usual one if the first line has it, unless another one divides all lines into equally
    many fields, occurs before the usual one in each, and either occurs more often or the usual one
    divides lines unequally: "1;5;Boston, MA" in a .csv has semicolons, "1,5,Drama|War" commas.

    Args:
        lines: the first lines that are not blank, at least one; a header first.
        usual: separator that belongs to the extension.
        double_colon: True if "::" may be the separator.
    """
    first, *others = _unquoted(lines)
    if double_colon and 0 <= first.find(DOUBLE_COLON) < _place(first, usual):
        return DOUBLE_COLON
    n_of = {mark: first.count(mark) for mark in SEPARATORS}
    steady = {mark for mark, n in n_of.items() if n and all(n == x.count(mark) for x in others)}
    if n_of[usual]:
        if usual == "\t" and usual in steady:
            return usual  # texts hardly hold tabs
        rivals = [
            mark
            for mark in steady
            if (n_of[mark] > n_of[usual] or usual not in steady)
            and all(line.find(mark) < _place(line, usual) for line in (first, *others))
        ]
        return max(rivals, key=n_of.__getitem__, default=usual)
    return max(SEPARATORS, key=lambda mark: (mark in steady, n_of[mark], mark == usual))


def _unquoted(lines: Sequence[str]) -> list[str]:
    """Return the lines without their quoted cells; line breaks in quotes join lines."""
    text = _QUOTED.sub("", "\n".join(lines))
    # The first line may be quoted as a whole, but it is still the first.
    return [line for number, line in enumerate(text.split("\n")) if line.strip() or not number]


def _place(line: str, mark: str) -> int:
    """Return the position of a mark in a line; the line's length if it has none."""
    return line.find(mark) if mark in line else len(line)
