"""The protocol of everything that scores the catalogue for users."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Scorer(Protocol):
    """Scores every item for some users."""

    def scores(self, users: Tensor) -> Tensor:
        """(b, n_items) float32 for users (b,) int64; the caller may overwrite it."""
        ...
