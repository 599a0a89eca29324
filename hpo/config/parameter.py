"""A dimension of a search space, and the condition under which it is searched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpo.config.error_text import Number, Positive, Switch

TOLERANCE = 1e-8  # in steps, since 0.1 + 2 * 0.1 is not 0.3 in floating point


def _is_same(one: float, other: float) -> bool:
    """Return True if two numbers differ by rounding alone, as 0.1 + 2 * 0.1 and 0.3 do."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


class _Values(BaseModel):
    """A set of values: choices, or a range with both ends."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    low: Number | None = None
    """Smallest legal value."""
    high: Number | None = None
    """Largest legal value."""
    choices: tuple[Number, ...] | None = Field(None, min_length=1)
    """All legal values, instead of low and high."""

    @property
    def values(self) -> tuple[float, ...]:
        """Return all choices, or the given ends of the range."""
        if self.choices is not None:
            return self.choices
        return tuple(end for end in (self.low, self.high) if end is not None)

    def holds(self, value: float) -> bool:
        """Return True if the value is in the set; steps are not regarded."""
        if self.choices is not None:
            return value in self.choices
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        """Return the choices, or the range as `low..high`."""
        if self.choices is not None:
            return ", ".join(f"{choice:g}" for choice in self.choices)
        low, high = ("" if end is None else f"{end:g}" for end in (self.low, self.high))
        return f"{low}..{high}"


class Condition(_Values):
    """The required values of another parameter."""

    def holds(self, value: float) -> bool:
        """Return True if the value is in the set, but for rounding: see `Parameter.step`."""
        if self.choices is not None:
            return any(_is_same(value, choice) for choice in self.choices)
        return super().holds(value) or any(_is_same(value, end) for end in self.values)

    @model_validator(mode="after")
    def _is_range_or_choices(self) -> Self:
        """Refuse contradictory fields.

        Raises:
            ValueError: choices and range are mixed, all are missing, or low is above high.
        """
        if self.choices is not None and (self.low is not None or self.high is not None):
            raise ValueError("give either choices, or low and high")
        if not self.values:
            raise ValueError("give choices, low or high")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low={self.low:g} must not be above high={self.high:g}")
        return self


def _as_table(value: Any) -> Any:
    """Expand `[1, 2]` and `1` to `{ choices = [1, 2] }` and `{ choices = [1] }`."""
    if isinstance(value, list | tuple):
        return {"choices": value}
    return {"choices": [value]} if isinstance(value, int | float) else value


ShortCondition = Annotated[
    Condition,
    BeforeValidator(_as_table, json_schema_input_type=Condition | tuple[float, ...] | float),
]


class Parameter(_Values):
    """One dimension of the search space: a range, or choices.

    The hyperparameter decides if the values are integers.
    """

    log: Switch = False
    """Search on a logarithmic scale."""
    step: Positive | None = None
    """Search only low, low + step, ..., high; the step must divide high - low."""
    when: dict[str, ShortCondition] = {}
    """Search only where other parameters are searched and have such values; else take [base]."""

    @model_validator(mode="after")
    def _is_range_or_choices(self) -> Self:
        """Refuse contradictory fields.

        Raises:
            ValueError: choices and range are mixed or incomplete, choices repeat, low is not below
                high, log is used with a step or with low <= 0, or the step does not lead to high.
        """
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
        """Return True if the value is a whole number of steps from low, or there is no step."""
        if not self.step or self.low is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < TOLERANCE

    @property
    def last(self) -> float | None:
        """Return the end of the range that Optuna makes of it; None without a step."""
        if not self.step or self.low is None or self.high is None:
            return None
        low, high, step = (Decimal(str(value)) for value in (self.low, self.high, self.step))
        return float(low + (high - low) // step * step)

    @property
    def loses_its_end(self) -> bool:
        """Return True if `last` is not `high`, but for rounding."""
        last, high = self.last, self.high
        return last is not None and high is not None and round(last - high, 12) != 0

    def holds(self, value: float) -> bool:
        """Return True if the search could suggest this value."""
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
        return min(
            self.low + steps * self.step, self.high
        )  # rounding: 0.1 + 2 * 0.1 lies above 0.3

    def is_active(self, searched: Mapping[str, float]) -> bool:
        """Return True if a trial searches this parameter.

        Args:
            searched: values of the parameters that the trial searches; at least those that this
                parameter's condition names.
        """
        return all(
            parent in searched and condition.holds(searched[parent])
            for parent, condition in self.when.items()
        )

    def can_meet(self, condition: Condition, *, whole: bool) -> bool:
        """Return True if the search could suggest a value that meets the condition.

        Args:
            condition: another parameter's condition on this one.
            whole: True if the hyperparameter is an integer.
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
        steps = math.ceil((low - self.low) / step - TOLERANCE)  # the least that lead to >= `low`
        first = self.low + steps * step
        return first <= high + TOLERANCE

    def __str__(self) -> str:
        """Return the choices, or the range with its step."""
        return f"{super().__str__()} in steps of {self.step:g}" if self.step else super().__str__()


def in_order(space: Mapping[str, Parameter]) -> list[str]:
    """Return the parameters, each after those in its condition, else in their own order.

    Raises:
        CycleError: conditions form a cycle; args[1] holds its names.
    """
    graph = {name: [p for p in spec.when if p in space] for name, spec in space.items()}
    return list(TopologicalSorter(graph).static_order())


def with_children(names: Iterable[str], parents: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the names and all parameters with a direct or indirect condition on them.

    Args:
        names: names of parameters.
        parents: by parameter, the parameters that its condition names.
    """
    found = set(names)
    while more := {name for name, above in parents.items() if found & set(above)} - found:
        found |= more
    return found


__all__ = ["Condition", "CycleError", "Parameter", "in_order", "with_children"]
