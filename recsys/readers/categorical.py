"""Columns of text as codes: 4 bytes a row, and each word once.

Ids are mostly small whole numbers, and a number needs no dictionary: its place in a table says
which word it is. Everything else goes through polars' categories.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.interactions import Bools, Ints32, Ints64

Codes = npt.NDArray[np.uint32]
_LARGEST = 1 << 26  # numbers below it have a place in the table: some 300 MB at the end


class CodeColumn:
    """A text column as codes into the words seen so far, collected batch by batch."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._numbers: list[Ints32] = []  # the first batches, for as long as they hold nothing else
        self._categories = pl.Categories.random()  # a numbering of its own
        # polars forgets the words when no column uses the categories any more, which happens
        # between two batches; this empty one keeps them for as long as this object lives.
        self._anchor = pl.Series(dtype=pl.Categorical(self._categories))
        self._coded: list[Codes] = []

    def add(self, words: pl.Series) -> None:
        """Keep one batch: text without nulls, or integers, which mean their digits."""
        numbers = None if self._coded else _small_numbers(words)
        if numbers is not None:
            self._numbers.append(numbers)
            return
        text = words.cast(pl.String).fill_null("").cast(pl.Categorical(self._categories))
        self._coded.append(text.to_physical().to_numpy())

    def finish(self) -> tuple[list[str], Codes]:
        """Every word, and (n,) uint32 positions in them; callable once, the batches are freed."""
        numbers, place = _table(self._numbers)
        words, categories = list(map(str, numbers.tolist())), self._categories.to_series().to_list()
        known = {word: code for code, word in enumerate(words)} if categories else {}
        words += [word for word in categories if word not in known]
        known |= {word: code for code, word in enumerate(words)} if categories else {}
        translate = np.array([known[word] for word in categories], np.uint32)
        parts = [place[part] for part in self._numbers] + [translate[part] for part in self._coded]
        self._numbers.clear()
        self._coded.clear()
        return words, np.concatenate(parts) if parts else np.empty(0, np.uint32)


def _small_numbers(words: pl.Series) -> Ints32 | None:
    """(n,) int32 if each word is a small whole number written plainly ("7", not "07"), or None."""
    numbers = words.cast(pl.Int64, strict=False)
    if numbers.has_nulls() or not len(numbers):
        return None
    lowest, highest = numbers.min(), numbers.max()
    if not (isinstance(lowest, int) and isinstance(highest, int)):
        return None
    if lowest < 0 or highest >= _LARGEST:
        return None
    if words.dtype == pl.String and not (numbers.cast(pl.String) == words).all():
        return None
    return numbers.to_numpy().astype(np.int32)


def _table(parts: list[Ints32]) -> tuple[Ints64, Codes]:
    """The numbers that occur, ascending; and for every number up to the largest its place."""
    size = 1 + max((int(part.max()) for part in parts), default=-1)
    occurs: Bools = np.zeros(size, np.bool_)
    for part in parts:
        occurs[part] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs, dtype=np.uint32) - np.uint32(1))
