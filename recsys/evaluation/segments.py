"""Segments of users by activity and of items by popularity, and catalogue coverage.

Groups follow from `seen` alone, so they are the same for every model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from recsys.data import Bools, Holdout, Interactions
from recsys.evaluation.evaluator import chunk_bytes_on
from recsys.evaluation.metrics import Ints
from recsys.models import Scorer, device_ranges


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


def coverage(
    scorer: Scorer, seen: Interactions, users: Ints, device: torch.device, k: int = 10
) -> float:
    """Return the share of the catalogue in the top k of at least one of the users, in [0, 1].

    Items that a user already has are left out, unless the data keeps repeats.

    Args:
        scorer: scores the whole catalogue.
        seen: the histories of all users.
        users: (m,) positions in the vocabulary.
        device: device of the scores.
        k: items shown to each user.
    """
    n = seen.n_items
    shown = torch.zeros(n, dtype=torch.bool, device=device)
    items = torch.as_tensor(seen.items, dtype=torch.int64, device=device)
    offsets = torch.as_tensor(seen.offsets, device=device)
    rows = max(1, chunk_bytes_on(device) // (4 * n))
    for chunk in torch.as_tensor(users, device=device).split(rows):
        scores = scorer.scores(chunk)  # (b, n)
        if seen.repeats == "drop":
            start = offsets[chunk]
            owner, position = device_ranges(start, offsets[chunk + 1] - start)
            scores.view(-1).index_fill_(0, owner * n + items[position], -torch.inf)
        best = torch.topk(scores, min(k, n), dim=1)
        shown[best.indices[best.values > -torch.inf]] = True
    return float(shown.float().mean())
