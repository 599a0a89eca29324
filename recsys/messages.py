"""Wording shared by all messages: counts with their noun, lists, shortened values; and stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

SHOWN = 5  # places named per kind of problem, then "and N more"


def and_more(total: int) -> str:
    """Return " and N more" for a list of `total` entries cut to SHOWN, or "" if none is cut."""
    return f" and {total - SHOWN} more" if total > SHOWN else ""


def count(n: int, noun: str) -> str:
    """Return a number with its noun: "1 trial", "2,000 trials".

    Args:
        n: the number.
        noun: the noun in the singular; the plural adds an "s".
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(names: Sequence[str], limit: int = 12) -> str:
    """Return names for a message: quoted, shortened, comma separated, the rest counted.

    Args:
        names: all names.
        limit: largest number of names shown.
    """
    shown = ", ".join(repr(shorten(name)) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def shorten(text: str, limit: int = 40) -> str:
    """Return a cell's text, cut so that one broken line does not fill the screen.

    Args:
        text: the cell.
        limit: largest length in characters; a cut text ends in "...".
    """
    return text if len(text) <= limit else text[: limit - 3] + "..."


def to_stderr(line: str) -> None:
    """Print a line to stderr at once, since stdout may hold a table or JSON."""
    print(line, file=sys.stderr, flush=True)


def nothing(line: str) -> None:
    """Leave a line out, in the place of a function that prints it."""
    del line
