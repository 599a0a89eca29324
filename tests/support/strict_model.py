"""Recommenders of a user's own with rules across their hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass

from recsys import Hyperparameters, within
from recsys.errors import ConfigError
from tests.support.own_model import Popular


@dataclass(frozen=True)
class OrderedConfig(Hyperparameters):
    noise: float = within(0.5, low=0.0, high=10.0)
    steps: int = within(2, low=1, high=8)
    most: int = within(4, low=1, high=8)
    epochs: int = within(3, low=1, high=500)
    seed: int = within(0, low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "twice", 2 * self.steps)  # what follows from the others
        if self.steps > self.most:
            raise ConfigError(f"steps={self.steps}: must be at most most={self.most}")


@dataclass(frozen=True)
class BluntConfig(OrderedConfig):
    """It raises what Python programs usually raise."""

    def __post_init__(self) -> None:
        Hyperparameters.__post_init__(self)
        object.__setattr__(self, "twice", 2 * self.steps)
        if self.steps > self.most:
            raise ValueError("too many steps")


class Ordered(Popular):
    config = OrderedConfig  # type: ignore[assignment]


class Blunt(Popular):
    config = BluntConfig  # type: ignore[assignment]
