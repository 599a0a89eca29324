"""Causal windows of whole users as flat tensors on the device; no DataLoader, no Python per row.

One pass draws `cuts` places in every user's time-ordered history: items before a cut are the
history that the user tower sees, the next items are the targets. So training answers the same
question as evaluation: which items come next? The number of targets grows with the history,
because a holdout is a share of each user's items too. Without times the order means nothing, so
the history is a random part of the user's items and the targets come from the rest (random
masking).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.models.history import History, histories, ranges


@dataclass(frozen=True)
class Batch:
    """b users with one cut each.

    Attributes:
        users: (b,) int64.
        history: input of the user tower, before dropout.
        history_rows: (h,) int64, which of the b users each history item belongs to.
        target_rows: (t,) int64, which of the b users each target belongs to.
        target_items: (t,) int64.
        target_weights: (t,) float32.
    """

    users: Tensor
    history: History
    history_rows: Tensor
    target_rows: Tensor
    target_items: Tensor
    target_weights: Tensor


class Windows:
    """The training data of one run, resident on `device`.

    Args:
        seen: interactions to learn from; users with fewer than 2 rows have no window.
        config: hyperparameters of the windows and the batch size.
        device: device of the batches.

    Attributes:
        n_batches: batches of one pass.
    """

    def __init__(self, seen: Interactions, config: TrainConfig, device: torch.device) -> None:
        self._config = config
        self._ordered = seen.times is not None
        self._items = torch.as_tensor(seen.items, dtype=torch.int64, device=device)
        self._weights = (
            None if seen.weights is None else torch.as_tensor(seen.weights, device=device)
        )
        offsets = torch.as_tensor(seen.offsets, device=device)
        self._starts, self._lengths = offsets[:-1], offsets.diff()
        self._users = torch.nonzero(self._lengths >= 2).flatten()
        self.n_batches = -(-len(self._users) * config.cuts // config.batch_size)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Yield the batches of one pass: each user `config.cuts` times, in random order.

        Args:
            generator: on the CPU, so that every device draws the same windows.
        """
        users = self._users.repeat(self._config.cuts)
        order = torch.randperm(len(users), generator=generator).to(users.device)
        for chosen in users[order].split(self._config.batch_size):
            yield self._batch(chosen, generator)

    def _batch(self, users: Tensor, generator: torch.Generator) -> Batch:
        """Return one batch of users (b,) with newly drawn cuts."""
        starts, lengths = self._starts[users], self._lengths[users]
        items, weights = self._items, self._weights
        if not self._ordered:
            items, weights = self._shuffled(starts, lengths, generator)
            starts = torch.cumsum(lengths, 0) - lengths
        draw = torch.rand(len(users), generator=generator).to(users.device)
        cut = 1 + (draw * (lengths - 1)).long()  # 1..n-1
        history, history_rows = histories(items, starts, cut)
        ahead = (lengths - cut).clamp_max(self._config.window)
        if self._ordered:  # without times no item is too far away to be a target
            ahead = torch.minimum(ahead, 1 + (self._config.window_share * cut).long())
        rows, position = ranges(starts + cut, ahead)
        target_weights = self._target_weights(position - (starts + cut)[rows], ahead[rows])
        if weights is not None:
            target_weights = target_weights * weights[position]
        return Batch(users, history, history_rows, rows, items[position], target_weights)

    def _target_weights(self, distance: Tensor, n_targets: Tensor) -> Tensor:
        """Return the weights (t,) float32 of targets by distance from the cut.

        Without times no target is near or far, so the distance does not count.
        """
        share = n_targets.float().pow(-self._config.user_power)
        if not self._ordered:
            return share
        return share * torch.exp(distance.float() / -self._config.target_decay)

    def _shuffled(
        self, starts: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Return the batch's items, end to end, each user's in random order, and their weights."""
        owner, position = ranges(starts, lengths)
        noise = torch.rand(len(owner), generator=generator, dtype=torch.float64)
        position = position[torch.argsort(owner + noise.to(owner.device))]
        return self._items[position], None if self._weights is None else self._weights[position]
