"""Where a new model and the champion can be compared: on the users and items that both know.

The champion may come from older data, from a part of it, or from something else entirely. Ids
are all that connects the two, so equal ids must mean the same people and things, and users whose
test rows the champion was trained on are left out: it would know the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hpo.errors import HpoError
from recsys.artifacts.checkpoint import Checkpoint
from recsys.data.interactions import Bools, Interactions, Ints64
from recsys.data.split import Holdout
from recsys.evaluation.evaluator import TowerScorer, Without
from recsys.messages import count
from recsys.models.scorer import Scorer

MIN_USERS = 30  # fewer say nothing
MIN_SHARE = 0.25  # of the test users
# Of the champion's rows with common ids: a later snapshot of the same data has nearly all of
# them, two data sets that both count users from 1 share a few percent by chance.
MIN_SHARED_ROWS = 0.25
UNKNOWN = -1


class NoCommonGround(HpoError):
    """The champion cannot be compared with; the message is half a sentence that says why."""


@dataclass(frozen=True, eq=False)
class CommonGround:
    """The part of a question that both can answer.

    Attributes:
        holdout: the whole history; as question, the test rows of common users and items.
        users: (n_users,) int64, each user's position at the champion, -1 if it has none.
        items: (n_items,) int64, likewise.
        note: what was left out, for people; empty if nothing was.
    """

    holdout: Holdout
    users: Ints64
    items: Ints64
    note: str


def common_ground(holdout: Holdout, champion: Checkpoint) -> CommonGround:
    """The common users and items of a question and a stored model.

    Raises:
        NoCommonGround: too little is left, or equal ids seem to mean different things.
    """
    known = champion.measured
    users = _positions(holdout.seen.user_ids, known.user_ids)
    items = _positions(holdout.seen.item_ids, known.item_ids)
    _check_same_world(holdout, known, users, items)
    asked = holdout.relevant
    common = (users[asked.users] >= 0) & (items[asked.items] >= 0)
    told = np.unique(asked.users[_is_among(asked, known, users, items)])
    kept = asked.take(common & ~np.isin(asked.users, told))
    n_asked, n_kept = len(np.unique(asked.users)), len(np.unique(kept.users))
    if n_kept < max(MIN_USERS, MIN_SHARE * n_asked):
        raise NoCommonGround(
            f"only {n_kept:,} of {count(n_asked, 'test user')} can be compared (at least "
            f"{MIN_USERS} and {MIN_SHARE:.0%} are needed): the others it does not know, or knows "
            f"none of their test items, or was trained on them ({count(len(told), 'user')})"
        )
    note = ""
    if len(kept) < len(asked) or (items < 0).any():
        note = (
            f"compared with the champion on the common ground: {n_kept:,} of "
            f"{count(n_asked, 'test user')}, {int((items >= 0).sum()):,} of "
            f"{count(len(items), 'item')}"
        )
    return CommonGround(Holdout(holdout.seen, kept), users, items, note)


class ChampionScorer:
    """The champion's scores in the new data's numbering; -inf for items that it does not know.

    It answers from the new history, as far as it knows the users and items in there.
    """

    def __init__(self, champion: Checkpoint, ground: CommonGround) -> None:
        device = champion.model.bias.device
        history = _translated(ground.holdout.seen, champion.measured, ground)
        self._scorer = TowerScorer(champion.model, history)
        self._users = torch.as_tensor(ground.users.clip(0), device=device)
        self._items = torch.as_tensor(ground.items.clip(0), device=device)
        self._unknown = torch.as_tensor(ground.items < 0, device=device)

    def scores(self, users: Tensor) -> Tensor:
        scores = self._scorer.scores(self._users[users])[:, self._items]
        return scores.masked_fill_(self._unknown, -torch.inf)


def on_ground(scorer: Scorer, ground: CommonGround, device: torch.device) -> Scorer:
    """Another scorer with the common items as its only candidates."""
    return Without(scorer, torch.as_tensor(np.flatnonzero(ground.items < 0), device=device))


def _positions(ids: Sequence[str], known: Sequence[str]) -> Ints64:
    where = {text: position for position, text in enumerate(known)}
    return np.array([where.get(text, UNKNOWN) for text in ids], np.int64)


def _check_same_world(holdout: Holdout, known: Interactions, users: Ints64, items: Ints64) -> None:
    here = np.concatenate([
        _keys(rows, known.n_items, users, items) for rows in (holdout.seen, holdout.relevant)
    ])  # fmt: skip
    mutual = np.isin(known.users, users) & np.isin(known.items, items)
    theirs = known.users[mutual].astype(np.int64) * known.n_items + known.items[mutual]
    if len(theirs) == 0:
        raise NoCommonGround("it was trained on other users and items")
    shared = float(np.isin(theirs, here).mean())
    if shared < MIN_SHARED_ROWS:
        raise NoCommonGround(
            f"only {shared:.1%} of its training rows with the same ids are in this data (at least "
            f"{MIN_SHARED_ROWS:.0%} are needed), so the ids seem to mean other users and items"
        )


def _is_among(asked: Interactions, known: Interactions, users: Ints64, items: Ints64) -> Bools:
    """(n,) bool: test rows that the champion was trained on.

    Where repeats are kept, an earlier purchase of the same item is no such row: the time counts
    as well.
    """
    keys = _keys(asked, known.n_items, users, items)
    theirs = known.users.astype(np.int64) * known.n_items + known.items
    if asked.repeats == "drop" or asked.times is None or known.times is None:
        return np.isin(keys, theirs)
    rows = set(zip(theirs.tolist(), known.times.tolist(), strict=True))
    found = [row in rows for row in zip(keys.tolist(), asked.times.tolist(), strict=True)]
    return np.array(found, bool)


def _keys(rows: Interactions, n_items: int, users: Ints64, items: Ints64) -> Ints64:
    """(n,) int64: each row's (user, item) in the champion's numbering, -1 if it knows one not."""
    user, item = users[rows.users], items[rows.items]
    return np.where((user >= 0) & (item >= 0), user * n_items + item, UNKNOWN)


def _translated(seen: Interactions, known: Interactions, ground: CommonGround) -> Interactions:
    """The rows that the champion understands, in its numbering."""
    users, items = ground.users[seen.users], ground.items[seen.items]
    rows = np.flatnonzero((users >= 0) & (items >= 0))
    rows = rows[np.argsort(users[rows], kind="stable")]  # within a user by time, as before
    return replace(
        known,
        users=users[rows].astype(np.int32),
        items=items[rows].astype(np.int32),
        times=None if seen.times is None else seen.times[rows],
        weights=None if seen.weights is None else seen.weights[rows],
        repeats=seen.repeats,
    )
