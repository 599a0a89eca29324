"""Whose neighbours the scores of some users gain from, as numbers that are ready to be added.

A known user's share of this never changes while a model answers, so it is worked out once. To
work it out anew took two thirds of the time of an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from recsys.data.interactions import Floats32, Interactions, Ints64
from recsys.data.ragged import spans
from recsys.evaluation.evaluator import Histories
from recsys.models.histories import History
from recsys.models.two_tower import TwoTower

ROWS = 65_536  # users at a time


@dataclass(frozen=True, eq=False)
class Asks:
    """Items whose neighbours gain for b users.

    Attributes:
        rows: (m,) int64, which of the b users.
        items: (m,) int64.
        weights: (m,) float32.
    """

    rows: Ints64
    items: Ints64
    weights: Floats32

    @classmethod
    @torch.no_grad()
    def of(cls, model: TwoTower, history: History) -> Self:
        """Of the users with this history; nothing if the model has no neighbours."""
        if model.neighbours is None:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        rows, items, weights = (each.cpu().numpy() for each in model.asking(history))
        return cls(rows, items, weights)

    def placed(self, rows: Ints64) -> Asks:
        """The same of users that are others among more: user i is rows[i] there."""
        return Asks(rows[self.rows], self.items, self.weights)

    def part(self, rows: Ints64) -> Asks:
        """Those of some users (rising numbers): user rows[i] is i there."""
        mine = np.isin(self.rows, rows)
        return Asks(np.searchsorted(rows, self.rows[mine]), self.items[mine], self.weights[mine])

    def __add__(self, other: Asks) -> Asks:
        return Asks(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.items, other.items]),
            np.concatenate([self.weights, other.weights]),
        )


class KnownAsks:
    """The asks of all users of a history: at most as many as it has rows.

    Args:
        model: its neighbours and how much they count; must not change any more.
        history: of all users.
    """

    def __init__(self, model: TwoTower, history: Interactions) -> None:
        everybody = torch.arange(history.n_users, device=model.bias.device)
        tower = Histories(model, history)
        parts = [Asks.of(model, tower.of(users)) for users in everybody.split(ROWS)]
        counts = [np.bincount(part.rows, minlength=ROWS) for part in parts]
        lengths = np.concatenate([np.zeros(1, np.int64), *counts])[: history.n_users + 1]
        self._offsets = np.cumsum(lengths)
        items = [part.items.astype(np.int32) for part in parts]
        self._items = np.concatenate([*items, np.zeros(0, np.int32)])
        self._weights = np.concatenate([part.weights for part in parts] or [np.zeros(0, "f4")])

    def of(self, users: Ints64) -> Asks:
        """Of users (b,), in their order."""
        rows, places = spans(self._offsets, users)
        return Asks(rows, self._items[places].astype(np.int64), self._weights[places])
