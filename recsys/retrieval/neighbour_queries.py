"""Precomputed neighbour queries: per user, the history items whose neighbours score, and weights.

The queries of a known user never change while a model answers, so they are computed once.
Computing them for every answer took two thirds of its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from recsys.data import Floats32, Interactions, Ints64, spans
from recsys.evaluation import Histories
from recsys.models import History, TwoTower

ROWS = 65_536  # users computed at once


@dataclass(frozen=True, eq=False)
class NeighbourQueries:
    """Neighbour queries of b users: history items whose neighbours gain in score.

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
        """Return the queries of users with these histories; none if the model has no neighbours.

        Args:
            model: its neighbours and how much they count.
            history: the histories of the users.
        """
        if model.neighbours is None:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        rows, items, weights = (each.cpu().numpy() for each in model.neighbour_queries(history))
        return cls(rows, items, weights)

    def placed(self, rows: Ints64) -> NeighbourQueries:
        """Return the queries renumbered for a larger batch: user i becomes user rows[i]."""
        return NeighbourQueries(rows[self.rows], self.items, self.weights)

    def part(self, rows: Ints64) -> NeighbourQueries:
        """Return the queries of some users, `rows` ascending: user rows[i] becomes user i."""
        mine = np.isin(self.rows, rows)
        return NeighbourQueries(
            np.searchsorted(rows, self.rows[mine]), self.items[mine], self.weights[mine]
        )

    def __add__(self, other: NeighbourQueries) -> NeighbourQueries:
        """Return the queries of both."""
        return NeighbourQueries(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.items, other.items]),
            np.concatenate([self.weights, other.weights]),
        )


class KnownQueries:
    """The neighbour queries of all users of a history: at most as many as it has rows.

    Args:
        model: its neighbours and how much they count; must not change afterwards.
        history: the histories of all users.
    """

    def __init__(self, model: TwoTower, history: Interactions) -> None:
        everybody = torch.arange(history.n_users, device=model.bias.device)
        tower = Histories(model, history)
        parts = [NeighbourQueries.of(model, tower.of(users)) for users in everybody.split(ROWS)]
        counts = [np.bincount(part.rows, minlength=ROWS) for part in parts]
        lengths = np.concatenate([np.zeros(1, np.int64), *counts])[: history.n_users + 1]
        self._offsets = np.cumsum(lengths)
        items = [part.items.astype(np.int32) for part in parts]
        self._items = np.concatenate([*items, np.zeros(0, np.int32)])
        self._weights = np.concatenate([part.weights for part in parts] or [np.zeros(0, "f4")])

    def of(self, users: Ints64) -> NeighbourQueries:
        """Return the queries of users (b,), in their order."""
        rows, places = spans(self._offsets, users)
        return NeighbourQueries(rows, self._items[places].astype(np.int64), self._weights[places])
