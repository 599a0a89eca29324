"""The result of reading a data set: interactions, side tables, and perhaps a ready-made split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.data.interactions import Interactions
from recsys.data.splitting import TEST, TRAIN, Parts
from recsys.messages import count


@dataclass(frozen=True, eq=False)
class ReadyMade:
    """The part of a ready-made split that each row belongs to.

    Attributes:
        parts: (n,) int8, aligned with the interactions: 0 train, 1 validation, 2 test.
        n_dropped: rows of validation and test left out because an earlier part has the same
            user and item.
    """

    parts: Parts
    n_dropped: int

    def describe(self, interactions: Interactions) -> str:
        """Return a line for people: sizes, dropped rows, and test rows unknown to train.

        Args:
            interactions: the rows that `parts` labels.
        """
        train, validation, test = np.bincount(self.parts, minlength=3)
        known = interactions.take(self.parts == TRAIN)
        asked = interactions.take(self.parts == TEST)
        cold = (np.bincount(known.users, minlength=known.n_users)[asked.users] == 0) | (
            np.bincount(known.items, minlength=known.n_items)[asked.items] == 0
        )
        n_cold = int(cold.sum())
        return (
            f"ready-made split: {train:,} train, {validation:,} validation and "
            f"{count(int(test), 'test row')}; "
            f"dropped {count(self.n_dropped, 'row')} whose user and item occur together in an "
            f"earlier part; {count(n_cold, 'test row')} {'has' if n_cold == 1 else 'have'} a user "
            "or an item that is not in train"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Interactions with the tables of their users and items.

    Attributes:
        name: name of the data set, folder or file.
        interactions: the rows. Their vocabulary holds only ids of rows; an id that occurs only in
            a table has no number.
        user_table: first column `user_id` (text, unique), other columns as found; None if the
            data has no such table. The table may hold personal data: never log or print it.
        item_table: the same with `item_id`.
        ready_made: the part of each row in a ready-made split; None if the data has no such split.
        notes: lines for people about the reading: rows read and left out, columns not used.
        columns: a line for people on the columns used and the range of times; "" if not known.
    """

    name: str
    interactions: Interactions
    user_table: pl.DataFrame | None = None
    item_table: pl.DataFrame | None = None
    ready_made: ReadyMade | None = None
    notes: tuple[str, ...] = ()
    columns: str = ""

    @property
    def parts(self) -> Parts | None:
        """Return each row's part of the ready-made split, for `recsys.data.splitting`.

        Returns:
            (n,) int8, or None if the data has no ready-made split.
        """
        return self.ready_made.parts if self.ready_made else None

    def __repr__(self) -> str:
        rows = self.interactions
        timed = "" if rows.times is not None else ", no times"
        return (
            f"Dataset({self.name!r}, {rows.n_users} users, {rows.n_items} items, {len(rows)} rows"
            f"{timed})"
        )
