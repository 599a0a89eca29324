"""Training of features to represent items without training rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recsys.data import Floats32, Interactions, Ints64
from recsys.models import Towers

# An item with c rows stands in for a new one in (1 + c) ** -AS_IF_NEW of the steps. At 0.5 most
# items that stand in are rare, as most new items are; equal shares for all items would recommend
# new items as often as average ones and cost trained items more (studies/LOG.md, 2026-11).
AS_IF_NEW = 0.5


class ColdStartDropout:
    """Dropout of embeddings and biases of items, so that features learn to stand in for them.

    In a step, some trained items stand in for new ones, as in DropoutNet (Volkovs, Yu and Poutanen,
    NeurIPS 2017).

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
        self._share: Floats32 = (1.0 + counts).pow(-AS_IF_NEW).numpy()
        self.untrained = torch.nonzero(counts == 0).flatten().to(device)

    def draw(self, drawn: Ints64 | None, generator: torch.Generator) -> Floats32:
        """Draw which candidates (c,) of a step stand in for new items: 0 for these, else 1.

        Args:
            drawn: (c,) int64 items; None if the candidates are the whole catalogue.
            generator: on the CPU, so that every device draws the same.
        """
        share = self._share if drawn is None else self._share[drawn]
        noise = np.from_dlpack(torch.rand(len(share), generator=generator))
        return (noise >= share).astype(np.float32)

    def candidates(self, towers: Towers, keep: Tensor, *, whole: bool) -> tuple[Tensor, Tensor]:
        """Return the vectors (c, dim) and biases (c,) of the items in the softmax of a step.

        Args:
            towers: the model, or the part of it that the step updates.
            keep: (c,) float32, see `draw`.
            whole: True if the candidates are the whole catalogue. Drawn ones include no untrained
                item, see `recsys.training.negatives`.
        """
        bias = towers.bias * keep
        if whole:
            bias = bias.index_fill(0, self.untrained, -torch.inf)
        return towers.item_vectors(keep), bias
