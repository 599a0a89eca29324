"""TrainConfig: every hyperparameter of one training, each with its one default and range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from recsys.errors import ConfigError


def _in(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True)
class TrainConfig:
    """One training of the two-tower. Same config, data and device give the same numbers.

    Ages and distances count items: the newest item before the cut has age 0, the first item
    after it has distance 0.
    """

    dim: int = _in(128, 1, 4096)
    """Length of user and item vectors."""
    lr: float = _in(3e-3, 1e-7, 10.0)
    """Adam's learning rate, constant: no schedule, so that equal epochs compare."""
    epochs: int = _in(60, 1, 10_000)
    """Upper bound; the best epoch's weights are kept."""
    patience: int = _in(10, 1, 10_000)
    """Stop after this many epochs without a better value of the objective on validation."""
    batch_size: int = _in(128, 1, 1_000_000)
    """Users per optimizer step."""
    cuts: int = _in(1, 1, 64)
    """Cuts drawn in each user's history per epoch."""
    window: int = _in(100, 1, 10_000)
    """At most so many items after the cut are predicted."""
    window_share: float = _in(0.5, 0.0, 1e6)
    """After a history of n items at most 1 + window_share * n are predicted (data with times)."""
    target_decay: float = _in(30.0, 0.1, 1e6)
    """A target at distance d weighs exp(-d / target_decay)."""
    user_power: float = _in(0.0, 0.0, 1.0)
    """A user's window of k targets weighs k ** -user_power in the loss."""
    negatives: int = _in(0, 0, 10_000_000)
    """Items drawn a step for the softmax, shared by the batch; 0: the whole catalogue while
    it is small, see `recsys.training.negatives`; at least the number of items: always the whole."""
    temperature: float = _in(0.16, 0.01, 10.0)
    """logit = cosine / temperature + item bias."""
    recency: float = _in(3.0, 0.1, 1e6)
    """The recent pool weighs a history item of age a with exp(-a / recency)."""
    mix: float = _in(0.35, 0.0, 100.0)
    """Weight of the whole-history pool beside the recent one."""
    history_power: float = _in(0.4, 0.0, 2.0)
    """The whole-history pool is the sum over n items divided by n ** history_power."""
    user_weight: float = _in(0.0, 0.0, 100.0)
    """Weight of the user's own embedding; 0: there is none, history alone speaks for everybody,
    so that users whom nobody trained on are served as well as the others."""
    feature_weight: float = _in(0.7, 0.0, 100.0)
    """Weight of item and user features, where the data has some."""
    neighbour_weight: float = _in(3.0, 0.0, 1000.0)
    """Logits that an item gains as the nearest neighbour of all that was last taken; 0: none.
    See `recsys.models.neighbours`."""
    history_dropout: float = _in(0.2, 0.0, 0.99)
    """Share of history items left out of the pools, drawn anew for each cut."""
    average: float = _in(0.999, 0.0, 0.9999)
    """Largest decay of the running average of the weights that is evaluated and kept; 0: none.
    Up to there the average reaches over the last fifth of all steps."""
    seed: int = _in(0, 0, 2**31 - 1)

    def __post_init__(self) -> None:
        problems = []
        for name, spec in self._fields().items():
            value = getattr(self, name)
            low, high = spec.metadata["low"], spec.metadata["high"]
            whole = self.is_integer(name)
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                problems.append(
                    f"{name}={value!r}: must be {'an integer' if whole else 'a number'}"
                )
            elif not (math.isfinite(value) and low <= value <= high):
                problems.append(f"{name}={value}: must be {low:g}..{high:g}")
            elif not whole:
                object.__setattr__(self, name, float(value))
        if problems:
            raise ConfigError(problems)

    @classmethod
    def _fields(cls) -> dict[str, dataclasses.Field[Any]]:
        return {spec.name: spec for spec in dataclasses.fields(cls)}

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """All hyperparameter names, in the order of the class."""
        return tuple(cls._fields())

    @classmethod
    def bounds(cls, name: str) -> tuple[float, float]:
        """Smallest and largest legal value of one hyperparameter."""
        metadata = cls._fields()[name].metadata
        return metadata["low"], metadata["high"]

    @classmethod
    def is_integer(cls, name: str) -> bool:
        """Whether one hyperparameter takes whole numbers only."""
        return bool(cls._fields()[name].type == "int")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The config with these values, defaults elsewhere.

        Raises:
            ConfigError: an unknown name (the known ones are listed) or an illegal value.
        """
        unknown = sorted(set(values) - set(cls.names()))
        if unknown:
            raise ConfigError(
                [
                    f"{name}: no such hyperparameter; known: {', '.join(cls.names())}"
                    for name in unknown
                ]
            )
        return cls(**values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some values changed, validated again."""
        return type(self).from_dict({**self.as_dict(), **changes})

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers by name; `from_dict` gives the same config back."""
        return dataclasses.asdict(self)
