"""The protocol of all models that score the catalogue for users."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Scorer(Protocol):
    """A model that scores every item for some users."""

    def scores(self, users: Tensor) -> Tensor:
        """Return the score of every item for each user.

        Args:
            users: (b,) int64, on the CPU or on the scorer's device.

        Returns:
            (b, n_items) float32; the caller may overwrite the array.
        """
        ...
