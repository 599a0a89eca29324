"""Text columns as codes: 4 bytes per row, and each word stored once.

Most ids are small whole numbers, which need no dictionary: a table indexed by the number holds
its code. All other words go through polars' categories.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data import Bools, Ints32, Ints64

Codes = npt.NDArray[np.uint32]
_LARGEST = 1 << 26  # numbers below this limit go into the table: some 300 MB at the end


class CodeColumn:
    """A text column as codes into the words seen so far, collected batch by batch.

    Args:
        name: name of the column in the file.
        is_float: True if the column is of floats; whole ones are words without a fraction.
    """

    def __init__(self, name: str, *, is_float: bool = False) -> None:
        self.name, self.is_float = name, is_float
        self._numbers: list[Ints32] = []  # the first batches, up to one with other words
        self._categories = pl.Categories.random()  # a numbering for this column alone
        # polars forgets the words when no column uses the categories any more, which happens
        # between two batches; this empty column keeps the words while this object lives.
        self._anchor = pl.Series(dtype=pl.Categorical(self._categories))
        self._coded: list[Codes] = []

    def add(self, words: pl.Series) -> None:
        """Store one batch.

        Args:
            words: (m,) text without nulls, or integers, which stand for their digits.
        """
        numbers = None if self._coded else _small_numbers(words)
        if numbers is not None:
            self._numbers.append(numbers)
            return
        text = words.cast(pl.String).fill_null("").cast(pl.Categorical(self._categories))
        self._coded.append(text.to_physical().to_numpy())

    def finish(self) -> tuple[list[str], Codes]:
        """Return all words and the codes of all rows; call this once, since the batches are freed.

        Returns:
            (words, (n,) uint32 positions in the words).
        """
        numbers, place = _distinct(self._numbers)
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
    """Return the words as numbers if all are small whole numbers written plainly ("7", not "07").

    Returns:
        (n,) int32, or None if any word is something else.
    """
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


def _distinct(parts: list[Ints32]) -> tuple[Ints64, Codes]:
    """Return the numbers that occur, and the position of each number among them.

    Returns:
        ((k,) int64 numbers, ascending; uint32 positions, indexed by each number up to the largest).
    """
    size = 1 + max((int(part.max()) for part in parts), default=-1)
    occurs: Bools = np.zeros(size, np.bool_)
    for part in parts:
        occurs[part] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs, dtype=np.uint32) - np.uint32(1))
