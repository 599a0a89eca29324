"""Causal windows of whole users as flat arrays on the host; no DataLoader, no Python per row.

One pass draws `cuts` places in every user's time-ordered history: items before a cut are the
history that the user tower sees, the next items are the targets. So training answers the same
question as evaluation: which items come next? The number of targets grows with the history,
because a holdout is a share of each user's items too. Without times the order means nothing, so
the history is a random part of the user's items and the targets come from the rest (random
masking).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from recsys.config import TrainConfig
from recsys.data import Floats32, Interactions, Ints64, ranges


@dataclass(frozen=True)
class Batch:
    """b users with one cut each.

    Attributes:
        users: (b,) int64.
        lengths: (b,) int64, items of each user's history.
        history_rows: (h,) int64, which of the b users each history item belongs to.
        history_items: (h,) int64, input of the user tower before dropout: the users' histories end
            to end, oldest item first.
        history_ages: (h,) int64; 0 for a user's newest item, then 1, 2, ...
        target_rows: (t,) int64, which of the b users each target belongs to.
        target_items: (t,) int64.
        target_weights: (t,) float32.
    """

    users: Ints64
    lengths: Ints64
    history_rows: Ints64
    history_items: Ints64
    history_ages: Ints64
    target_rows: Ints64
    target_items: Ints64
    target_weights: Floats32


def trained_users(seen: Interactions) -> Ints64:
    """Return the users that an epoch goes over, (n,) ascending: those with two rows or more."""
    return np.flatnonzero(np.diff(seen.offsets) >= 2)


class Windows:
    """The training data of one run, left where `seen` has it.

    Args:
        seen: interactions to learn from; users with fewer than 2 rows have no window.
        config: hyperparameters of the windows and the batch size.

    Attributes:
        n_batches: batches of one pass.
    """

    def __init__(self, seen: Interactions, config: TrainConfig) -> None:
        self._config = config
        self._ordered = seen.times is not None
        self._items = seen.items
        self._weights = None if seen.weights is None else _raised(seen.weights)
        self._starts, self._lengths = seen.offsets[:-1], np.diff(seen.offsets)
        self._users = trained_users(seen)
        self.n_batches = -(-len(self._users) * config.cuts // config.batch_size)
        distance = torch.arange(config.window).float()
        self._nearness = torch.exp(distance / -config.target_decay).numpy()  # (window,)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Yield the batches of one pass: each user `config.cuts` times, in random order.

        Args:
            generator: on the CPU, so that every device draws the same windows.
        """
        users = np.tile(self._users, self._config.cuts)
        users = users[np.from_dlpack(torch.randperm(len(users), generator=generator))]
        for start in range(0, len(users), self._config.batch_size):
            yield self._batch(users[start : start + self._config.batch_size], generator)

    def _batch(self, users: Ints64, generator: torch.Generator) -> Batch:
        """Return one batch of users (b,) with newly drawn cuts."""
        starts, lengths = self._starts[users], self._lengths[users]
        shuffled = None if self._ordered else self._shuffled(starts, lengths, generator)
        if shuffled is not None:
            starts = np.cumsum(lengths) - lengths
        draw = np.from_dlpack(torch.rand(len(users), generator=generator))
        # In float32 throughout, as torch would: the products decide what is cut where.
        cut = 1 + (draw * (lengths - 1).astype(np.float32)).astype(np.int64)  # 1..n-1
        ahead = np.minimum(lengths - cut, self._config.window)
        if self._ordered:  # without times no item is too far away to be a target
            share = np.float32(self._config.window_share) * cut.astype(np.float32)
            ahead = np.minimum(ahead, 1 + share.astype(np.int64))
        history_rows, history = ranges(starts, cut)
        target_rows, targets = ranges(starts + cut, ahead)
        ages = np.repeat(starts + cut - 1, cut) - history
        distance = targets - np.repeat(starts + cut, ahead)
        if shuffled is not None:
            history, targets = shuffled[history], shuffled[targets]
        return Batch(
            users,
            cut,
            history_rows,
            self._items[history].astype(np.int64),
            ages,
            target_rows,
            self._items[targets].astype(np.int64),
            self._target_weights(np.repeat(ahead, ahead), distance, targets),
        )

    def _target_weights(self, n_targets: Ints64, distance: Ints64, rows: Ints64) -> Floats32:
        """Return the weights (t,) float32 of targets by distance from the cut.

        Without times no target is near or far, so the distance does not count.

        Args:
            n_targets: (t,) number of targets of the same user.
            distance: (t,) items between the cut and the target.
            rows: (t,) rows of the training data.
        """
        weights: Floats32 = np.ones(len(rows), np.float32)
        if self._config.user_power:
            # torch's pow, which rounds otherwise than numpy's
            weights = torch.from_numpy(n_targets).float().pow(-self._config.user_power).numpy()
        if self._ordered:
            weights = weights * self._nearness[distance]
        return weights if self._weights is None else weights * self._weights[rows]

    def _shuffled(self, starts: Ints64, lengths: Ints64, generator: torch.Generator) -> Ints64:
        """Return the rows of a batch's users, end to end, each user's in random order."""
        owner, rows = ranges(starts, lengths)
        noise = np.from_dlpack(torch.rand(len(owner), generator=generator, dtype=torch.float64))
        shuffled: Ints64 = rows[np.argsort(owner + noise, kind="stable")]
        return shuffled


TINY = -10  # binary order of magnitude


def _raised(weights: Floats32) -> Floats32:
    """Return weights whose mean is not tiny, whatever their unit; others unchanged.

    Gradients of tiny weights would drown in the epsilon of Adam. A power of two changes no digit.
    """
    if not len(weights):
        return weights
    order = round(math.log2(float(weights.mean(dtype=np.float64))))
    return weights if order >= TINY else np.ldexp(weights, -order)
