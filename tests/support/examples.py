"""Small data sets that tests build models and studies on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout, Split, split

SECOND = 1_000_000


def conveyor(n_users: int = 60, n_items: int = 30, length: int = 12) -> Interactions:
    """User u takes items u, u + 1, ... (mod n_items) in order: what comes next is certain."""
    steps = np.arange(length)
    users = np.repeat(np.arange(n_users), length)
    items = (np.arange(n_users)[:, None] + steps).ravel() % n_items
    times = np.tile(steps, n_users) * SECOND
    return Interactions.from_ids([f"u{u}" for u in users], [f"i{i}" for i in items], times)


def random_log(
    rng: np.random.Generator,
    n_users: int = 40,
    n_items: int = 50,
    n: int = 800,
    *,
    timed: bool = True,
) -> Interactions:
    """No structure, but popular items."""
    users = rng.integers(0, n_users, n)
    items = (rng.random(n) ** 2 * n_items).astype(int)
    times = rng.integers(0, 10_000, n) * SECOND if timed else None
    return Interactions.from_ids(users.tolist(), items.tolist(), times)


def with_groups(data: Interactions, n_groups: int = 3) -> Interactions:
    """The same with one feature for each item and user: its number modulo `n_groups`."""

    def groups(n: int) -> Features:
        codes = (np.arange(n) % n_groups).astype(np.int32)
        return Features(codes, np.arange(n + 1), ("group",), (n_groups,))

    features = {"item_features": groups(data.n_items), "user_features": groups(data.n_users)}
    return replace(data, **features)


def aisles(n_users: int = 90, n_items: int = 60, length: int = 12) -> Interactions:
    """Users of group g take items of group g alone (see `with_groups`), each at random."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(n_users), length)
    aisle = [rng.permutation(n_items // 3)[:length] * 3 + user % 3 for user in range(n_users)]
    times = np.tile(np.arange(length), n_users) * SECOND
    return with_groups(Interactions.from_ids(users.tolist(), np.concatenate(aisle).tolist(), times))


def conveyor_split() -> Split:
    return split(conveyor())


def exploding() -> Holdout:
    """Event weights so large that the loss of the first step is infinite."""
    holdout = conveyor_split().tuning
    weights = np.full(len(holdout.seen), 3e38, np.float32)
    return Holdout(replace(holdout.seen, weights=weights), holdout.relevant)
