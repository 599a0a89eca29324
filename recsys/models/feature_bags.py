"""Feature embeddings of the rows of a table: for each row, the sum over its bag of codes, plus the
linear projection of its dense vector if it has one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.data import Features
from recsys.models.history import device_ranges


class Bags(nn.Module):
    """Bags of feature codes and vectors, taken from the data, so not stored with the weights.

    A code in a bag of c codes has weight c ** -0.5: sums of few and many codes are about as long.

    Args:
        codes: (m,) int64, the n bags end to end.
        offsets: (n + 1,) int64; bag i is codes[offsets[i]:offsets[i + 1]].
        vectors: (n, w) float32, or None.
    """

    codes: Tensor
    offsets: Tensor
    weights: Tensor
    vectors: Tensor | None

    def __init__(self, codes: Tensor, offsets: Tensor, vectors: Tensor | None = None) -> None:
        super().__init__()
        lengths = offsets.diff()
        weights = lengths.clamp_min(1).float().rsqrt()[torch.repeat_interleave(lengths)]
        for name, tensor in (("codes", codes), ("offsets", offsets), ("weights", weights)):
            self.register_buffer(name, tensor, persistent=False)
        self.register_buffer("vectors", vectors, persistent=False)

    @classmethod
    def of(cls, features: Features) -> Bags:
        """Return the bags of all rows of `features`."""
        vectors = None if features.vectors is None else torch.as_tensor(features.vectors)
        codes, offsets = torch.as_tensor(features.codes), torch.as_tensor(features.offsets)
        return cls(codes.long(), offsets, vectors)

    def take(self, rows: Tensor) -> Bags:
        """Return the bags of some rows, in that order.

        Args:
            rows: (r,) int64.
        """
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        _, position = device_ranges(starts, lengths)
        offsets = functional.pad(torch.cumsum(lengths, 0), (1, 0))
        vectors = None if self.vectors is None else self.vectors[rows]
        return Bags(self.codes[position], offsets, vectors)

    def sums(self, table: Tensor) -> Tensor:
        """Return the weighted sum of the embeddings of each bag, plus its projected vector.

        An empty bag gives zero, and so does a vector of zeros.

        Args:
            table: (n_codes + w, dim) embeddings: of the codes, then of the places of the vectors.

        Returns:
            (n, dim).
        """
        if self.vectors is None:
            return self._of_codes(table)
        n_codes = len(table) - self.vectors.shape[1]
        projected = self.vectors @ table[n_codes:]
        return projected + self._of_codes(table[:n_codes]) if n_codes else projected

    def _of_codes(self, table: Tensor) -> Tensor:
        """Return the weighted sums (n, dim) over the embeddings (n_codes, dim) of the codes."""
        return functional.embedding_bag(
            self.codes,
            table,
            self.offsets,
            mode="sum",
            per_sample_weights=self.weights,
            include_last_offset=True,
        )
