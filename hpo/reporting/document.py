"""The parts of a report before it becomes HTML or Markdown; all figures are text already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.evaluation import Interval, MetricName

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReportTable:
    """A table whose first column names the rows; the other columns hold figures.

    Attributes:
        heads: headings of the columns.
        rows: cells of each row, in the order of `heads`.
        strong: indices of highlighted rows.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A figure with the name of its file and a description.

    Attributes:
        name: name of the file, without .png.
        figure: the figure.
        alt: description for readers who cannot see the figure.
    """

    name: str
    figure: Figure
    alt: str


@dataclass(frozen=True)
class Section:
    """One heading of the report with its contents.

    Attributes:
        key: anchor of the heading.
        title: the heading.
        text: paragraphs.
        picture: the section's figure, if any.
        table: the section's table, if any.
    """

    key: str
    title: str
    text: Sequence[str] = ()
    picture: Picture | None = None
    table: ReportTable | None = None


@dataclass(frozen=True)
class Gain:
    """The best trial's lead over another model, in the objective, paired over users.

    Attributes:
        over: name of the other model.
        their_value: objective of the other model.
        interval: mean difference with its 95% bounds; positive if the best trial is better.
    """

    over: str
    their_value: float
    interval: Interval

    @property
    def is_clear(self) -> bool:
        """Return True if the interval does not contain zero."""
        return self.interval.low > 0 or self.interval.high < 0


@dataclass(frozen=True)
class Headline:
    """The first screen of the report.

    Attributes:
        trial: number of the best trial.
        objective: metric that the study maximizes.
        score: objective of the best trial, as stored.
        value: the same with its interval, measured again; None: the model offers no scorer.
        config: hyperparameters by row, with the values of the best trial and of the default.
        gains: gain over the default configuration, then over each baseline.
        conclusion: sentences that state the gains in words.
    """

    trial: int
    objective: MetricName
    score: float
    value: Interval | None
    config: ReportTable
    gains: Sequence[Gain]
    conclusion: Sequence[str]

    @property
    def lines(self) -> list[str]:
        """Return the objective of every model, and the conclusion, as lines for a terminal."""
        others = "".join(f", {gain.over} {gain.their_value:.4f}" for gain in self.gains)
        return [
            f"{self.objective} on validation: trial {self.trial} {self.score:.4f}{others}",
            *self.conclusion,
        ]


@dataclass(frozen=True)
class Report:
    """A whole report, from top to bottom.

    Attributes:
        study: name of the study, which is the title.
        facts: the line under the title.
        headline: the first screen.
        sections: the sections in order.
    """

    study: str
    facts: str
    headline: Headline
    sections: Sequence[Section]

    @property
    def pictures(self) -> list[Picture]:
        """Return the pictures of all sections, in order."""
        return [section.picture for section in self.sections if section.picture]


def with_bounds(interval: Interval, sign: str = "") -> str:
    """Return the mean with its bounds, as text.

    Args:
        interval: a mean and its bounds.
        sign: "+" writes the sign of positive numbers too, for differences.
    """
    mean, low, high = (f"{v:{sign}.4f}" for v in (interval.mean, interval.low, interval.high))
    return f"{mean} ({low} to {high})"
