"""Which items a step's softmax runs over: the whole catalogue, or a drawn part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions

WHOLE_CATALOGUE = 10_000  # items up to which the softmax runs over all of them
DRAWN = 2_048  # above, so many are drawn a step


@dataclass(frozen=True)
class Candidates:
    """A drawn part of the catalogue.

    Attributes:
        items: (c,) int64, ascending, each once.
        log_share: (c,) float32, log of the probability that a draw holds the item.
    """

    items: Tensor
    log_share: Tensor

    def columns(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Where `items` (m,) stand: ((m,) int64 columns, (m,) bool whether they are there)."""
        column = torch.searchsorted(self.items, items).clamp_max_(len(self.items) - 1)
        return column, self.items[column] == items


class NegativeSampler:
    """Draws candidates that all users of a batch share: their targets and `n_drawn` more.

    Half of the draws are uniform, so that no item stays where its start put it; half go by
    popularity, because popular items make up most of the softmax's denominator. With item
    features, items without a row are never drawn (see `recsys.training.cold_start`).

    Args:
        seen: how often each item is a target.
        n_drawn: draws a step, with replacement.
    """

    def __init__(self, seen: Interactions, n_drawn: int, device: torch.device) -> None:
        counts = np.bincount(seen.items, minlength=seen.n_items)
        popularity = counts / counts.sum()
        drawable = np.ones(seen.n_items) if seen.item_features is None else counts > 0
        chance = 0.5 * popularity + 0.5 * drawable / drawable.sum()
        cumulative = np.cumsum(chance)
        self._n_drawn = n_drawn
        self._popularity = torch.as_tensor(popularity, dtype=torch.float32, device=device)
        self._chance = torch.as_tensor(chance, dtype=torch.float32, device=device)
        self._cumulative = torch.as_tensor(cumulative / cumulative[-1], device=device)  # float64

    def draw(self, targets: Tensor, generator: torch.Generator) -> Candidates:
        """Candidates of one step.

        Args:
            targets: (t,) int64.
            generator: on the CPU, so that every device draws the same.
        """
        noise = torch.rand(self._n_drawn, generator=generator, dtype=torch.float64)
        # right: the first item that lifts the sum above the noise, so never one of chance 0
        drawn = torch.searchsorted(self._cumulative, noise.to(targets.device), right=True)
        items = torch.unique(torch.cat([targets, drawn]))
        expected = self._n_drawn * self._chance[items] + len(targets) * self._popularity[items]
        return Candidates(items, torch.log(-torch.expm1(-expected)))


def n_negatives(config: TrainConfig, n_items: int) -> int:
    """Draws a step; 0: the softmax runs over the whole catalogue."""
    if config.negatives:
        return config.negatives if config.negatives < n_items else 0
    return DRAWN if n_items > WHOLE_CATALOGUE else 0
