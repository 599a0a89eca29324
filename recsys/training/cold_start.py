"""How features learn to speak for items that nobody has trained on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.models.two_tower import TwoTower

# An item of c rows stands for a new one in (1 + c) ** -AS_IF_NEW of the steps. At 0.5 most of
# those that stand in are rare, as most new items are; equal shares for all would show new items
# as often as the average one, and cost the others more (studies/LOG.md, 2026-11).
AS_IF_NEW = 0.5


class Newcomers:
    """Lets trained items stand for new ones, without embedding and bias of their own.

    Items without a row take no part: pushed away in every step and drawn near in none, they
    would teach their features that nobody wants them, when nobody could.

    Args:
        seen: how often each item occurs.
        device: where the towers are.
    """

    def __init__(self, seen: Interactions, device: torch.device) -> None:
        counts = torch.as_tensor(np.bincount(seen.items, minlength=seen.n_items))
        self._share = (1.0 + counts).pow(-AS_IF_NEW).to(device)
        self.untrained = torch.nonzero(counts == 0).flatten().to(device)  # (r,) int64

    def candidates(
        self, towers: TwoTower, rows: Mapping[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Vectors (c, dim) and biases (c,) of the items over which the softmax of a step runs.

        Args:
            towers: what the step touches.
            rows: see `recsys.training.step.Step`.
            generator: on the CPU, so that every device draws the same.
        """
        drawn = rows.get("items")
        share = self._share if drawn is None else self._share[drawn]
        noise = torch.rand(len(share), generator=generator).to(share.device)
        keep = (noise >= share).float()
        bias = towers.bias * keep
        if drawn is None:  # else they were not drawn, see `recsys.training.negatives`
            bias = bias.index_fill(0, self.untrained, -torch.inf)
        return towers.item_vectors(keep), bias
