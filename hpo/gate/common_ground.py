"""Common ground: the users and items on which a new model and the champion can be compared.

The champion may come from older data, from a part of the data, or from an unrelated data set. Only
ids connect the two, so equal ids must mean the same users and items. Users with test rows that the
champion was trained on are left out, because the champion would know the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hpo.errors import HpoError
from hpo.gate.rules import MIN_USERS
from recsys.artifacts import Checkpoint
from recsys.data import Bools, Holdout, Interactions, Ints64
from recsys.evaluation import ExcludingScorer, TowerScorer
from recsys.messages import count
from recsys.models import Scorer

MIN_SHARE = 0.25  # smallest share of the test users that must remain
# Smallest share of the champion's rows with common ids that the new data must contain. A later
# snapshot of the same data contains nearly all of them; two data sets that both number users from 1
# share a few percent by chance.
MIN_SHARED_ROWS = 0.25
UNKNOWN = -1


class NoCommonGround(HpoError):
    """A champion that cannot be compared; the message is half a sentence that gives the reason."""


@dataclass(frozen=True, eq=False)
class CommonGround:
    """The part of an evaluation that both the new model and the champion can answer.

    Attributes:
        holdout: the full history to learn from; as the rows to predict, the test rows of common
            users and items.
        users: (n_users,) int64, position of each user in the champion's data, -1 if the champion
            does not know the user.
        items: (n_items,) int64, position of each item in the champion's data, -1 if the champion
            does not know the item.
        note: a sentence for people about the users and items left out; empty if none were.
    """

    holdout: Holdout
    users: Ints64
    items: Ints64
    note: str


def common_ground(holdout: Holdout, champion: Checkpoint) -> CommonGround:
    """Return the users and items that an evaluation and a stored model have in common.

    Args:
        holdout: the evaluation on the new data.
        champion: the stored model.

    Raises:
        NoCommonGround: too few test users remain, or equal ids seem to mean different users and
            items.
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
    if n_kept == n_asked < MIN_USERS:
        raise NoCommonGround(
            f"the data has only {count(n_asked, 'test user')}, {MIN_USERS} are needed"
        )
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
    """The champion as a scorer in the numbering of the new data.

    The champion answers from the new history, restricted to the users and items that it knows.

    Args:
        champion: the stored model.
        ground: the users and items that the champion shares with the new data.
    """

    def __init__(self, champion: Checkpoint, ground: CommonGround) -> None:
        device = champion.model.bias.device
        history = _translated(ground.holdout.seen, champion.measured, ground)
        self._scorer = TowerScorer(champion.model, history)
        self._users = torch.as_tensor(ground.users.clip(0))
        self._items = torch.as_tensor(ground.items.clip(0), device=device)
        self._unknown = torch.as_tensor(ground.items < 0, device=device)

    def scores(self, users: Tensor) -> Tensor:
        """Return the (b, n_items) float32 scores of users (b,) int64.

        Items that the champion does not know score -inf.
        """
        scores = self._scorer.scores(self._users[users])[:, self._items]
        return scores.masked_fill_(self._unknown, -torch.inf)


def on_ground(scorer: Scorer, ground: CommonGround, device: torch.device) -> Scorer:
    """Return a scorer that has only the common items as candidates.

    Args:
        scorer: computes the scores of all items.
        ground: the common users and items.
        device: device of the scores.
    """
    return ExcludingScorer(scorer, torch.as_tensor(np.flatnonzero(ground.items < 0), device=device))


def _positions(ids: Sequence[str], known: Sequence[str]) -> Ints64:
    where = {text: position for position, text in enumerate(known)}
    return np.array([where.get(text, UNKNOWN) for text in ids], np.int64)


def _check_same_world(holdout: Holdout, known: Interactions, users: Ints64, items: Ints64) -> None:
    """Check that equal ids mean the same users and items in both data sets.

    Raises:
        NoCommonGround: the champion's data has no row with common ids, or too few of these rows are
            in the new data.
    """
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
    """Return (n,) bool, True for test rows that the champion was trained on.

    If the data keeps repeats, the times must be equal as well, since an earlier purchase of the
    same item is another row.
    """
    keys = _keys(asked, known.n_items, users, items)
    theirs = known.users.astype(np.int64) * known.n_items + known.items
    if asked.repeats == "drop" or asked.times is None or known.times is None:
        return np.isin(keys, theirs)
    rows = set(zip(theirs.tolist(), known.times.tolist(), strict=True))
    found = [row in rows for row in zip(keys.tolist(), asked.times.tolist(), strict=True)]
    return np.array(found, bool)


def _keys(rows: Interactions, n_items: int, users: Ints64, items: Ints64) -> Ints64:
    """Return (n,) int64, a key of each row's user and item in the champion's numbering.

    The key is -1 if the champion does not know both.
    """
    user, item = users[rows.users], items[rows.items]
    return np.where((user >= 0) & (item >= 0), user * n_items + item, UNKNOWN)


def _translated(seen: Interactions, known: Interactions, ground: CommonGround) -> Interactions:
    """Return the rows whose user and item the champion knows, in the champion's numbering."""
    users, items = ground.users[seen.users], ground.items[seen.items]
    rows = np.flatnonzero((users >= 0) & (items >= 0))
    rows = rows[np.argsort(users[rows], kind="stable")]  # keeps the order of time per user
    return replace(
        known,
        users=users[rows].astype(np.int32),
        items=items[rows].astype(np.int32),
        times=None if seen.times is None else seen.times[rows],
        weights=None if seen.weights is None else seen.weights[rows],
        repeats=seen.repeats,
    )
