"""Segments of users by activity and of items by popularity.

Groups follow from `seen` alone, so they are the same for every model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.data import Bools, Holdout, Interactions
from recsys.evaluation.metrics import Ints


@dataclass(frozen=True, eq=False)
class UserGroup:
    """A group of the evaluated users with similar activity.

    Attributes:
        shortest: shortest history in the group, in rows.
        longest: longest history in the group, in rows.
        members: (m,) bool over the evaluated users.
    """

    shortest: int
    longest: int
    members: Bools


@dataclass(frozen=True, eq=False)
class ItemGroup:
    """A group of the catalogue's items with similar popularity.

    Attributes:
        name: head, middle or tail.
        n_items: items in the group.
        holdout: the same histories with only these items as relevant ones; the whole catalogue
            still competes, so ranks are those of the full holdout.
    """

    name: str
    n_items: int
    holdout: Holdout


def activity_groups(seen: Interactions, users: Ints) -> list[UserGroup]:
    """Return thirds of the users by length of history, shortest first.

    Users with equally long histories are in the same group.

    Args:
        seen: the histories of all users.
        users: (m,) the evaluated users, positions in the vocabulary.

    Returns:
        Up to three groups; fewer where many histories are equally long.
    """
    lengths = np.diff(seen.offsets)[users]
    edges = np.quantile(lengths, [1 / 3, 2 / 3], method="inverted_cdf")
    third = np.searchsorted(edges, lengths)  # 0: up to the first edge, included
    groups = [third == number for number in range(3)]
    return [
        UserGroup(int(lengths[members].min()), int(lengths[members].max()), members)
        for members in groups
        if members.any()
    ]


def popularity_groups(holdout: Holdout) -> list[ItemGroup]:
    """Return head, middle and tail: items that make up a third of the rows each.

    The most popular items are the head; items without a row are tail. A group without relevant
    items is left out.
    """
    seen, relevant = holdout.seen, holdout.relevant
    counts = np.bincount(seen.items, minlength=seen.n_items)
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]  # rows of all more popular items
    third = np.empty(seen.n_items, np.int64)
    third[order] = np.minimum(3 * before // max(1, len(seen)), 2)
    third[counts == 0] = 2
    groups = []
    for number, name in enumerate(("head", "middle", "tail")):
        asked = third[relevant.items] == number
        if asked.any():
            part = Holdout(seen, relevant.take(asked))
            groups.append(ItemGroup(name, int((third == number).sum()), part))
    return groups
