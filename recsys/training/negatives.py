"""The candidates of a step's softmax: the whole catalogue or a drawn part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.dlpack import from_dlpack

from recsys.config import TrainConfig
from recsys.data import Bools, Floats32, Interactions, Ints64

WHOLE_CATALOGUE = 10_000  # items up to which the softmax runs over all of them
DRAWN = 2_048  # draws per step in larger catalogues


@dataclass(frozen=True)
class SampledItems:
    """A drawn part of the catalogue.

    Attributes:
        items: (c,) int64, ascending, each once.
        log_share: (c,) float32, log of the probability that a draw includes the item.
    """

    items: Ints64
    log_share: Floats32

    def columns(self, items: Ints64) -> tuple[Ints64, Bools]:
        """Return the columns of `items` (m,) among the candidates.

        Returns:
            ((m,) int64 columns, (m,) bool, True where the item is a candidate).
        """
        column = np.minimum(np.searchsorted(self.items, items), len(self.items) - 1)
        return column, self.items[column] == items


class NegativeSampler:
    """Sampler of candidates that all users of a batch share: their targets and `n_drawn` more.

    Half of the draws are uniform, so that every item moves away from its initial weights; half
    follow popularity, because popular items make up most of the softmax's denominator. With item
    features, items without a row are never drawn (see `recsys.training.cold_start`).

    Args:
        seen: its rows per item say how often each item is a target.
        n_drawn: draws per step, with replacement.
    """

    def __init__(self, seen: Interactions, n_drawn: int) -> None:
        counts = np.bincount(seen.items, minlength=seen.n_items)
        popularity = counts / counts.sum()
        drawable = np.ones(seen.n_items) if seen.item_features is None else counts > 0
        chance = 0.5 * popularity + 0.5 * drawable / drawable.sum()
        cumulative = np.cumsum(chance)
        self._n_drawn = n_drawn
        self._popularity = popularity.astype(np.float32)
        self._chance = chance.astype(np.float32)
        self._cumulative = cumulative / cumulative[-1]  # float64

    def draw(self, targets: Ints64, generator: torch.Generator) -> SampledItems:
        """Draw the candidates of one step.

        Args:
            targets: (t,) int64, the batch's target items.
            generator: on the CPU, so that every device draws the same.
        """
        noise = torch.rand(self._n_drawn, generator=generator, dtype=torch.float64)
        # right: the first item that lifts the sum above the noise, never one of chance 0
        drawn = np.searchsorted(self._cumulative, np.from_dlpack(noise), side="right")
        items = distinct(np.concatenate([targets, drawn]))
        drawings, target_rows = np.float32(self._n_drawn), np.float32(len(targets))
        expected = drawings * self._chance[items] + target_rows * self._popularity[items]
        log_share = torch.expm1(from_dlpack(-expected)).neg_().log_()
        return SampledItems(items, np.asarray(np.from_dlpack(log_share), np.float32))


def distinct(items: Ints64) -> Ints64:
    """Return items (m,), ascending and each once; `np.unique` hashes, which takes far longer."""
    ascending = np.sort(items)
    return ascending[np.diff(ascending, prepend=-1) > 0]


def n_negatives(config: TrainConfig, n_items: int) -> int:
    """Return the number of draws per step; 0 if the softmax runs over the whole catalogue.

    Args:
        config: its `negatives` is the number of draws; 0 leaves the choice to this function.
        n_items: size of the catalogue.
    """
    if config.negatives:
        return config.negatives if config.negatives < n_items else 0
    return DRAWN if n_items > WHOLE_CATALOGUE else 0
