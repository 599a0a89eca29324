"""A data set as the readers return it: interactions, features, perhaps a ready-made split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.data.interactions import Interactions
from recsys.data.split import TEST, TRAIN, Parts
from recsys.messages import count


@dataclass(frozen=True, eq=False)
class ReadyMade:
    """Which part of a ready-made split each row belongs to.

    Attributes:
        parts: (n,) int8, aligned with the interactions: 0 train, 1 validation, 2 test.
        n_dropped: rows of validation and test left out because an earlier part has the same
            user and item.
    """

    parts: Parts
    n_dropped: int

    def describe(self, interactions: Interactions) -> str:
        """A line for people: sizes, what was dropped, and what train does not know."""
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
            f"dropped {self.n_dropped:,} of user and item pairs that an earlier part has; "
            f"{count(n_cold, 'test row')} {'has' if n_cold == 1 else 'have'} a user or an item "
            "that train does not know"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Interactions, and what is known about users and items.

    Attributes:
        name: of the named data set, folder or file.
        interactions: the vocabulary is theirs alone; ids that occur only in a table have no
            number.
        user_table: first column `user_id` (text, unique); other columns as found. None if the
            data has no such table. It may hold personal data: never log or print it.
        item_table: the same with `item_id`.
        ready_made: which part of the ready-made split each row came in; None if the data came
            in one piece.
        notes: lines for people on what reading did: rows read and left out, columns not used.
    """

    name: str
    interactions: Interactions
    user_table: pl.DataFrame | None = None
    item_table: pl.DataFrame | None = None
    ready_made: ReadyMade | None = None
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> Parts | None:
        """(n,) int8, each row's part, for `recsys.data.split`; None: there is no such split."""
        return self.ready_made.parts if self.ready_made else None

    def __repr__(self) -> str:
        rows = self.interactions
        return (
            f"Dataset({self.name!r}, {rows.n_users} users, {rows.n_items} items, {len(rows)} rows)"
        )
