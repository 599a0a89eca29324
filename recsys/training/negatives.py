"""The candidates of a step's softmax: the whole catalogue or a drawn part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions

WHOLE_CATALOGUE = 10_000  # items up to which the softmax runs over all of them
DRAWN = 2_048  # draws per step in larger catalogues


@dataclass(frozen=True)
class Candidates:
    """A drawn part of the catalogue.

    Attributes:
        items: (c,) int64, ascending, each once.
        log_share: (c,) float32, log of the probability that a draw includes the item.
    """

    items: Tensor
    log_share: Tensor

    def columns(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns of `items` (m,) among the candidates.

        Returns:
            ((m,) int64 columns, (m,) bool, True where the item is a candidate).
        """
        column = torch.searchsorted(self.items, items).clamp_max_(len(self.items) - 1)
        return column, self.items[column] == items


class NegativeSampler:
    """Sampler of candidates that all users of a batch share: their targets and `n_drawn` more.

    Half of the draws are uniform, so that every item moves away from its initial weights; half
    follow popularity, because popular items make up most of the softmax's denominator. With item
    features, items without a row are never drawn (see `recsys.training.cold_start`).

    Args:
        seen: its rows per item say how often each item is a target.
        n_drawn: draws per step, with replacement.
        device: device of the candidates.
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
        """Draw the candidates of one step.

        Args:
            targets: (t,) int64, the batch's target items.
            generator: on the CPU, so that every device draws the same.
        """
        noise = torch.rand(self._n_drawn, generator=generator, dtype=torch.float64)
        # right=True: the first item that lifts the sum above the noise, never one of chance 0
        drawn = torch.searchsorted(self._cumulative, noise.to(targets.device), right=True)
        items = torch.unique(torch.cat([targets, drawn]))
        expected = self._n_drawn * self._chance[items] + len(targets) * self._popularity[items]
        return Candidates(items, torch.log(-torch.expm1(-expected)))


def n_negatives(config: TrainConfig, n_items: int) -> int:
    """Return the number of draws per step; 0 if the softmax runs over the whole catalogue.

    Args:
        config: its `negatives` is the number of draws; 0 leaves the choice to this function.
        n_items: size of the catalogue.
    """
    if config.negatives:
        return config.negatives if config.negatives < n_items else 0
    return DRAWN if n_items > WHOLE_CATALOGUE else 0
