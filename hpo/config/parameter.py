"""Parameter: one dimension of a search space, and the condition under which it is searched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

TOLERANCE = 1e-8  # of steps: 0.1 + 2 * 0.1 is not 0.3


class _Values(BaseModel):
    """Choices, or a range. Both ends belong to it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    low: float | None = None
    """Smallest legal value."""
    high: float | None = None
    """Largest legal value."""
    choices: tuple[float, ...] | None = Field(None, min_length=1)
    """All legal values, instead of low and high."""

    @property
    def values(self) -> tuple[float, ...]:
        """The ends of the range that are given, or all choices."""
        if self.choices is not None:
            return self.choices
        return tuple(end for end in (self.low, self.high) if end is not None)

    def holds(self, value: float) -> bool:
        """Whether the value is one of these (steps aside)."""
        if self.choices is not None:
            return value in self.choices
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.choices is not None:
            return ", ".join(f"{choice:g}" for choice in self.choices)
        low, high = ("" if end is None else f"{end:g}" for end in (self.low, self.high))
        return f"{low}..{high}"


class Condition(_Values):
    """What the value of another parameter must be."""

    @model_validator(mode="after")
    def _is_range_or_choices(self) -> Self:
        if self.choices is not None and (self.low is not None or self.high is not None):
            raise ValueError("give either choices, or low and high")
        if not self.values:
            raise ValueError("give choices, low or high")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low={self.low:g} must not be above high={self.high:g}")
        return self


def _as_table(value: Any) -> Any:
    """`[1, 2]` and `1` are short for `{ choices = [1, 2] }` and `{ choices = [1] }`."""
    if isinstance(value, list | tuple):
        return {"choices": value}
    return {"choices": [value]} if isinstance(value, int | float) else value


ShortCondition = Annotated[
    Condition,
    BeforeValidator(_as_table, json_schema_input_type=Condition | tuple[float, ...] | float),
]


class Parameter(_Values):
    """One dimension of the search space: a range, or choices.

    Whether it is an integer follows from the hyperparameter itself.
    """

    log: bool = False
    """Search the logarithm."""
    step: float | None = Field(None, gt=0)
    """Only low, low + step, ..., high; it must divide high - low."""
    when: dict[str, ShortCondition] = {}
    """Searched only where other parameters are searched and have such values; else from [base]."""

    @model_validator(mode="after")
    def _is_range_or_choices(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step:
                raise ValueError("give either choices, or low and high")
            if len(set(self.choices)) < max(2, len(self.choices)):
                raise ValueError("choices must be at least 2 different values, each given once")
        elif self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        elif self.low >= self.high:
            raise ValueError(f"low={self.low:g} must be below high={self.high:g}")
        elif self.log and self.step:
            raise ValueError("log and step exclude each other")
        elif self.log and self.low <= 0:
            raise ValueError(f"low={self.low:g} must be > 0 with log")
        elif self.step and not self._on_step(self.high):
            last = self.low + (self.high - self.low) // self.step * self.step
            raise ValueError(
                f"step={self.step:g} does not lead from low={self.low:g} to high={self.high:g}, "
                f"the last is {last:g}"
            )
        return self

    def _on_step(self, value: float) -> bool:
        if not self.step or self.low is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < TOLERANCE

    def holds(self, value: float) -> bool:
        """Whether the search could suggest this value."""
        return super().holds(value) and self._on_step(value)

    def nearest(self, value: float) -> float:
        """Return the value nearest to `value` that the search could suggest, the lower of two."""
        if self.choices is not None:
            return min(self.choices, key=lambda choice: (abs(choice - value), choice))
        assert self.low is not None and self.high is not None
        inside = min(max(value, self.low), self.high)
        if not self.step:
            return inside
        steps = math.ceil((inside - self.low) / self.step - 0.5)
        return min(self.low + steps * self.step, self.high)  # 0.1 + 2 * 0.1 lies above 0.3

    def is_active(self, searched: Mapping[str, float]) -> bool:
        """Whether a trial searches it.

        Args:
            searched: the values of those parameters that it does search, parents at least.
        """
        return all(
            parent in searched and condition.holds(searched[parent])
            for parent, condition in self.when.items()
        )

    def can_meet(self, condition: Condition, *, whole: bool) -> bool:
        """Whether the search could suggest a value of which `condition` holds.

        Args:
            whole: the hyperparameter is an integer.
        """
        if self.choices is not None:
            return any(condition.holds(choice) for choice in self.choices)
        if condition.choices is not None:
            return any(self.holds(choice) for choice in condition.choices)
        assert self.low is not None and self.high is not None
        step = self.step or (1.0 if whole else None)
        low = self.low if condition.low is None else max(self.low, condition.low)
        high = self.high if condition.high is None else min(self.high, condition.high)
        if step is None:
            return low < high
        first = self.low - (self.low - low) // step * step  # the first on a step from `low` on
        return first <= high + TOLERANCE

    def __str__(self) -> str:
        return f"{super().__str__()} in steps of {self.step:g}" if self.step else super().__str__()


def in_order(space: Mapping[str, Parameter]) -> list[str]:
    """The names, each after those that its condition looks at, else in their own order.

    Raises:
        CycleError: conditions go in a circle; args[1] holds it.
    """
    graph = {name: [p for p in spec.when if p in space] for name, spec in space.items()}
    return list(TopologicalSorter(graph).static_order())


def with_children(names: Iterable[str], parents: Mapping[str, Iterable[str]]) -> set[str]:
    """The names, and all parameters whose conditions look at them, directly or not.

    Args:
        parents: of each parameter, those that its condition looks at.
    """
    found = set(names)
    while more := {name for name, above in parents.items() if found & set(above)} - found:
        found |= more
    return found


__all__ = ["Condition", "CycleError", "Parameter", "in_order", "with_children"]
