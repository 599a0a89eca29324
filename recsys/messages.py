"""Wording shared by every message: counts with their noun, lists, shortened values."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5  # places named per kind of trouble, then "and N more"


def and_more(total: int) -> str:
    """The tail of a shortened list."""
    return f" and {total - SHOWN} more" if total > SHOWN else ""


def count(n: int, noun: str) -> str:
    """`1 trial`, `2,000 trials`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(names: Sequence[str], limit: int = 12) -> str:
    """Names for a message: quoted, comma separated, the rest counted."""
    shown = ", ".join(repr(shorten(name)) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def shorten(text: str, limit: int = 40) -> str:
    """A cell for a message, cut so that one broken line does not fill the screen."""
    return text if len(text) <= limit else text[: limit - 3] + "..."
