"""Hyperparameters of trainings, each with its one default and range: TrainConfig, and its base."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from recsys.errors import ConfigError


def within(default: Any, low: float, high: float) -> Any:
    """Return the field of a hyperparameter.

    Args:
        default: value of the default configuration.
        low: smallest legal value.
        high: largest legal value.
    """
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True)
class Hyperparameters:
    """The base of all hyperparameters of one training: checks, conversions, names and ranges.

    A class of hyperparameters is a frozen dataclass whose fields are `int` or `float`, made by
    `within`. Every training has `epochs`, its largest number of epochs, and `seed`, which a study
    sets for each trial. `examples/als.py` shows one.
    """

    if TYPE_CHECKING:  # fields of every subclass, at its own place among the others
        epochs: int
        seed: int

    def __post_init__(self) -> None:
        """Check the type and range of every value, and convert values of float fields to float.

        Raises:
            ConfigError: one problem for each value of a wrong type or out of range.
        """
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
        """Return all hyperparameter names, in the order of the class."""
        return tuple(cls._fields())

    @classmethod
    def bounds(cls, name: str) -> tuple[float, float]:
        """Return the smallest and the largest legal value of one hyperparameter."""
        metadata = cls._fields()[name].metadata
        return metadata["low"], metadata["high"]

    @classmethod
    def is_integer(cls, name: str) -> bool:
        """Return True if the hyperparameter takes whole numbers only."""
        return cls._fields()[name].type in ("int", int)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the config with the given values and defaults elsewhere.

        Args:
            values: hyperparameter name -> value.

        Raises:
            ConfigError: a name is unknown (the message lists the known ones) or a value is illegal.
        """
        cls._refuse_unknown(values)
        return cls(**values)

    @classmethod
    def of_single_values(cls, values: Mapping[str, Any]) -> Self:
        """Return a config with every value checked by itself, but not all of them together.

        A subclass may have rules across values. What breaks them can be shown, but not trained.

        Args:
            values: hyperparameter name -> value; the others have their defaults.

        Raises:
            ConfigError: as `from_dict`, except that such rules do not count.
        """
        cls._refuse_unknown(values)
        made = object.__new__(cls)
        for name, spec in cls._fields().items():
            object.__setattr__(made, name, values.get(name, spec.default))
        Hyperparameters.__post_init__(made)
        return made

    @classmethod
    def _refuse_unknown(cls, names: Iterable[str]) -> None:
        """Check names of hyperparameters.

        Raises:
            ConfigError: a name is unknown; the message lists the known ones.
        """
        if unknown := sorted(set(names) - set(cls.names())):
            known = ", ".join(cls.names())
            raise ConfigError(
                [f"{name}: no such hyperparameter; known: {known}" for name in unknown]
            )

    @classmethod
    def of(cls, config: Hyperparameters) -> Self:
        """Return the config unchanged if it belongs to this class.

        Raises:
            ConfigError: it belongs to another model.
        """
        if not isinstance(config, cls):
            raise ConfigError(f"{type(config).__name__} given, {cls.__name__} needed")
        return config

    def replace(self, **changes: Any) -> Self:
        """Return a validated copy with some values changed.

        Args:
            changes: new values by hyperparameter name.

        Raises:
            ConfigError: as `from_dict`.
        """
        return type(self).from_dict({**self.as_dict(), **changes})

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers by hyperparameter name, the input of `from_dict`."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class TrainConfig(Hyperparameters):
    """Hyperparameters of one training of the two-tower model.

    The same config, data and device give the same numbers. Ages and distances count items: the
    newest item before the cut has age 0, the first item after the cut has distance 0.

    Attributes:
        dim: length of user and item vectors.
        lr: Adam's learning rate. It is constant, so that equal epochs of different runs compare.
        epochs: largest number of epochs; the weights of the best epoch are kept.
        patience: epochs without a better objective on validation after which training stops.
        batch_size: users per optimizer step.
        cuts: cuts drawn in each user's history per epoch.
        window: largest number of items predicted after a cut.
        window_share: after a history of n items, at most 1 + window_share * n items are predicted
            (only if the data has times).
        target_decay: a target at distance d has weight exp(-d / target_decay).
        user_power: a user's window of k targets has weight k ** -user_power in the loss.
        negatives: items drawn per step for the softmax, shared by the batch. 0 means the whole
            catalogue while that is small (see `recsys.training.negatives`). A value of at least
            the number of items always means the whole catalogue.
        temperature: logit = cosine / temperature + item bias.
        recency: a history item of age a has weight exp(-a / recency) in the recent pool.
        mix: weight of the whole-history pool relative to the recent pool.
        history_power: the whole-history pool is the sum over n items divided by
            n ** history_power.
        user_weight: weight of the user's own embedding. 0 means that users have no embedding and
            are described by their history alone, so users absent from training are served as
            well as the others.
        feature_weight: weight of item and user features, if the data has any.
        neighbour_weight: logits that an item gains as the nearest neighbour of all the latest
            items of a history. 0 turns neighbours off. See `recsys.models.neighbours`.
        neighbours: longest list of neighbours of an item.
        reverse_weight: what a pair of rows in the opposite order counts for neighbours, against
            1 in order (only if the data has times). More than 0 suits data whose order is partly
            chance, and a short history.
        walk_alpha: exponent of the walks that find neighbours without times in large catalogues.
        walk_beta: discount of popular neighbours in such walks, see
            `recsys.models.item_graph.walk_edges`.
        history_dropout: share of history items left out of the pools, drawn anew for each cut.
        average: largest decay of the running average of the weights; the average is evaluated
            and kept. The decay grows with the steps up to this limit, so that the average
            reaches over the last fifth of all steps. 0 turns averaging off.
        seed: seed of every random draw of the training.
    """

    dim: int = within(128, 1, 4096)
    lr: float = within(3e-3, 1e-7, 10.0)
    epochs: int = within(60, 1, 10_000)
    patience: int = within(10, 1, 10_000)
    batch_size: int = within(128, 1, 1_000_000)
    cuts: int = within(1, 1, 64)
    window: int = within(100, 1, 10_000)
    window_share: float = within(0.5, 0.0, 1e6)
    target_decay: float = within(30.0, 0.1, 1e6)
    user_power: float = within(0.0, 0.0, 1.0)
    negatives: int = within(0, 0, 10_000_000)
    temperature: float = within(0.16, 0.01, 10.0)
    recency: float = within(3.0, 0.1, 1e6)
    mix: float = within(0.35, 0.0, 100.0)
    history_power: float = within(0.4, 0.0, 2.0)
    user_weight: float = within(0.0, 0.0, 100.0)
    feature_weight: float = within(0.7, 0.0, 100.0)
    neighbour_weight: float = within(3.0, 0.0, 1000.0)
    neighbours: int = within(30, 1, 10_000)
    reverse_weight: float = within(0.0, 0.0, 1.0)
    walk_alpha: float = within(0.9, 0.0, 3.0)
    walk_beta: float = within(0.3, 0.0, 3.0)
    history_dropout: float = within(0.2, 0.0, 0.99)
    average: float = within(0.999, 0.0, 0.9999)
    seed: int = within(0, 0, 2**31 - 1)
