"""Feature embeddings of the rows of a table: for each row, the sum over its bag of codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.data import Features
from recsys.models.history import device_ranges


class Bags(nn.Module):
    """Bags of feature codes, taken from the data and therefore not stored with the weights.

    A code in a bag of c codes has weight c ** -0.5: sums of few and many codes are about as long.

    Args:
        codes: (m,) int64, the n bags end to end.
        offsets: (n + 1,) int64; bag i is codes[offsets[i]:offsets[i + 1]].
    """

    codes: Tensor
    offsets: Tensor
    weights: Tensor

    def __init__(self, codes: Tensor, offsets: Tensor) -> None:
        super().__init__()
        lengths = offsets.diff()
        weights = lengths.clamp_min(1).float().rsqrt()[torch.repeat_interleave(lengths)]
        for name, tensor in (("codes", codes), ("offsets", offsets), ("weights", weights)):
            self.register_buffer(name, tensor, persistent=False)

    @classmethod
    def of(cls, features: Features) -> Bags:
        """Return the bags of all rows of `features`."""
        return cls(torch.as_tensor(features.codes).long(), torch.as_tensor(features.offsets))

    def take(self, rows: Tensor) -> Bags:
        """Return the bags of some rows, in that order.

        Args:
            rows: (r,) int64.
        """
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        _, position = device_ranges(starts, lengths)
        offsets = functional.pad(torch.cumsum(lengths, 0), (1, 0))
        return Bags(self.codes[position], offsets)

    def sums(self, table: Tensor) -> Tensor:
        """Return the weighted sum of the embeddings of each bag; an empty bag gives zero.

        Args:
            table: (n_codes, dim) embeddings.

        Returns:
            (n, dim).
        """
        return functional.embedding_bag(
            self.codes,
            table,
            self.offsets,
            mode="sum",
            per_sample_weights=self.weights,
            include_last_offset=True,
        )
