"""Filters of the rows before they are split: the lowest rating, and the fewest rows of an id.

The rows that are left are those of a k-core: every user and every item has at least so many of
them. Leaving a user out takes rows from items, so the counts are repeated until nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys.data.dataset import Dataset, ReadyMade
from recsys.data.features import Ints32, Ints64
from recsys.data.interactions import Bools, Interactions, row_order, sorted_ids
from recsys.errors import DataError
from recsys.messages import count


@dataclass(frozen=True)
class Filters:
    """The rows that count, as the user says.

    Attributes:
        min_rating: lowest rating that counts as interest (--min-rating); None: ratings do not
            count. The readers leave lower ratings out.
        min_user_rows: fewest rows of a user (--min-user-rows).
        min_item_rows: fewest rows of an item (--min-item-rows).
    """

    min_rating: float | None = None
    min_user_rows: int = 1
    min_item_rows: int = 1

    def flags(self) -> str:
        """Return the limits on rows as they are given to a command."""
        given = {"--min-user-rows": self.min_user_rows, "--min-item-rows": self.min_item_rows}
        return " ".join(f"{flag} {limit}" for flag, limit in given.items() if limit > 1)


NO_FILTERS = Filters()


def filtered(dataset: Dataset, filters: Filters) -> Dataset:
    """Return the dataset with the rows of users and items that have enough of them.

    Rows are counted over all parts of a ready-made split. One note says what was left out.

    Args:
        dataset: the data set as read, without features.
        filters: the limits; the lowest rating was applied in reading.

    Raises:
        DataError: a limit is below 1, or no rows are left.
    """
    if min(filters.min_user_rows, filters.min_item_rows) < 1:
        raise DataError(f"{filters}: the fewest rows of users and of items must be 1 or more")
    if max(filters.min_user_rows, filters.min_item_rows) == 1:
        return dataset
    rows = dataset.interactions
    keep, rounds = core(rows, filters.min_user_rows, filters.min_item_rows)
    if not keep.any():
        raise DataError(
            f"{filters.flags()} leave none of {count(len(rows), 'row')}; lower these numbers"
        )
    kept, order = _compact(rows, keep)
    told = (
        f"filter: {filters.flags()} left out {count(len(rows) - len(kept), 'row')}, "
        f"{count(rows.n_users - kept.n_users, 'user')} and "
        f"{count(rows.n_items - kept.n_items, 'item')} in {count(rounds, 'round')}; "
        f"{count(len(kept), 'row')}, {count(kept.n_users, 'user')} and "
        f"{count(kept.n_items, 'item')} stay"
    )
    parts = dataset.ready_made
    if parts is not None:
        parts = ReadyMade(parts.parts[keep][order], parts.n_dropped)
    return replace(dataset, interactions=kept, ready_made=parts, notes=(*dataset.notes, told))


def core(rows: Interactions, min_user_rows: int, min_item_rows: int) -> tuple[Bools, int]:
    """Return the largest set of rows in which every user and every item has enough of them.

    Args:
        rows: all n rows.
        min_user_rows: fewest rows of a user.
        min_item_rows: fewest rows of an item.

    Returns:
        ((n,) mask of the rows, number of rounds that left something out).
    """
    keep = np.ones(len(rows), np.bool_)
    rounds = 0
    while True:
        users = np.bincount(rows.users[keep], minlength=rows.n_users) >= min_user_rows
        items = np.bincount(rows.items[keep], minlength=rows.n_items) >= min_item_rows
        enough = keep & users[rows.users] & items[rows.items]
        if (enough == keep).all():
            return keep, rounds
        keep, rounds = enough, rounds + 1


def _compact(rows: Interactions, keep: Bools) -> tuple[Interactions, Ints64]:
    """Return the rows of a mask with a vocabulary of their own, as if only they had been read.

    Returns:
        (the interactions, for each of their rows its position among the rows of the mask).
    """
    part = rows.take(keep)
    user_ids, users = _renumbered(rows.user_ids, part.users)
    item_ids, items = _renumbered(rows.item_ids, part.items)
    order = row_order(users, items, part.times, rows.repeats)
    kept = Interactions.from_codes(
        users, items, part.times, part.weights, user_ids, item_ids, repeats=rows.repeats
    )
    return kept, order


def _renumbered(ids: Sequence[str], codes: Ints32) -> tuple[list[str], Ints32]:
    """Return the ids that occur in vocabulary order, and each code's position among them."""
    used = np.unique(codes)
    # The order may change: all ids that are left may be numbers, which sort as numbers.
    found = sorted_ids([ids[number] for number in used])
    place = {text: number for number, text in enumerate(found)}
    table = np.zeros(len(ids), np.int32)
    table[used] = [place[ids[number]] for number in used]
    return found, table[codes]
