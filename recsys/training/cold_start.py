"""Training of features to represent items without training rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.models.two_tower import TwoTower

# An item with c rows stands in for a new one in (1 + c) ** -AS_IF_NEW of the steps. At 0.5 most
# items that stand in are rare, as most new items are; equal shares for all items would recommend
# new items as often as average ones and cost trained items more (studies/LOG.md, 2026-11).
AS_IF_NEW = 0.5


class Newcomers:
    """Trained items that stand in for new ones, without their own embedding and bias.

    Items without a row are no candidates of the softmax: pushed away in every step and drawn near
    in none, they would teach their features that nobody wants such items, although no user could
    have chosen them.

    Args:
        seen: its rows per item decide how often an item stands in.
        device: device of the towers.

    Attributes:
        untrained: (r,) int64 items without a row.
    """

    def __init__(self, seen: Interactions, device: torch.device) -> None:
        counts = torch.as_tensor(np.bincount(seen.items, minlength=seen.n_items))
        self._share = (1.0 + counts).pow(-AS_IF_NEW).to(device)
        self.untrained = torch.nonzero(counts == 0).flatten().to(device)  # (r,) int64

    def candidates(
        self, towers: TwoTower, rows: Mapping[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the vectors (c, dim) and biases (c,) of the items in the softmax of a step.

        Args:
            towers: the model, or the part of it that the step updates.
            rows: see `recsys.training.step.Step`.
            generator: on the CPU, so that every device draws the same.
        """
        drawn = rows.get("items")
        share = self._share if drawn is None else self._share[drawn]
        noise = torch.rand(len(share), generator=generator).to(share.device)
        keep = (noise >= share).float()
        bias = towers.bias * keep
        if drawn is None:  # else no untrained item was drawn, see `recsys.training.negatives`
            bias = bias.index_fill(0, self.untrained, -torch.inf)
        return towers.item_vectors(keep), bias
