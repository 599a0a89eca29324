"""What a report consists of, before it becomes HTML or Markdown. Every figure is text already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.evaluation import Interval, MetricName

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReportTable:
    """The first column names the row, the others are figures.

    Attributes:
        strong: rows that stand out.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A figure with its file's name (without .png) and what it shows, for who cannot see it."""

    name: str
    figure: Figure
    alt: str


@dataclass(frozen=True)
class Section:
    """One heading of the report; `key` is its anchor."""

    key: str
    title: str
    text: Sequence[str] = ()
    picture: Picture | None = None
    table: ReportTable | None = None


@dataclass(frozen=True)
class Gain:
    """How far the best trial is ahead: the objective, paired over users."""

    over: str
    their_value: float
    interval: Interval

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval.low > 0 or self.interval.high < 0


@dataclass(frozen=True)
class Headline:
    """The first screen.

    Attributes:
        trial: the best one's number.
        objective: what the study maximizes.
        value: its objective.
        config: hyperparameter, the best trial's value, the default's.
        gains: over the default configuration first, then the baselines.
        verdict: the same in a sentence or two.
    """

    trial: int
    objective: MetricName
    value: Interval
    config: ReportTable
    gains: Sequence[Gain]
    verdict: Sequence[str]


@dataclass(frozen=True)
class Report:
    """All of it, top to bottom. `facts`: the line under the title."""

    study: str
    facts: str
    headline: Headline
    sections: Sequence[Section]

    @property
    def pictures(self) -> list[Picture]:
        return [section.picture for section in self.sections if section.picture]


def with_bounds(interval: Interval, sign: str = "") -> str:
    """The mean with its bounds; sign "+" for differences."""
    mean, low, high = (f"{v:{sign}.4f}" for v in (interval.mean, interval.low, interval.high))
    return f"{mean} ({low} to {high})"
