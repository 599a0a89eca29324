"""HTML output: a report as one page without network, scripts or image files."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from hpo.reporting.document import Gain, Report, with_bounds
from hpo.reporting.figures.style import BLUE, GREY, RED

TEMPLATE = "report.html.j2"
BAR_WIDTH, BAR_HEIGHT = 170, 22  # px
MARGIN = 6  # px left and right of the scale


@dataclass(frozen=True)
class Bar:
    """A gain's interval on the scale that all rows of the table share.

    Attributes:
        label: text for readers who cannot see the bar.
        colour: grey where the interval contains zero, else by the sign of the gain.
        low, mean, high: places of the interval, in px from the left.
        zero: place of the tick that marks zero, in px from the left.
        width, height: size of the drawing, in px.
    """

    label: str
    colour: str
    low: float
    mean: float
    high: float
    zero: float
    width: int = BAR_WIDTH
    height: int = BAR_HEIGHT


def render_html(report: Report, images: Mapping[str, bytes]) -> str:
    """Return the whole page.

    Args:
        report: content of the page.
        images: picture name -> PNG.
    """
    environment = Environment(
        loader=PackageLoader("hpo.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["with_bounds"] = with_bounds
    return environment.get_template(TEMPLATE).render(
        report=report,
        gains=list(zip(report.headline.gains, _bars(report.headline.gains), strict=True)),
        images={name: base64.b64encode(content).decode() for name, content in images.items()},
    )


def _bars(gains: Sequence[Gain]) -> list[Bar]:
    """Return a bar for each gain, all on one scale that contains zero."""
    bounds = [bound for gain in gains for bound in (gain.interval.low, gain.interval.high)]
    low, high = min([0.0, *bounds]), max([0.0, *bounds])

    def at(value: float) -> float:
        return MARGIN + (BAR_WIDTH - 2 * MARGIN) * (value - low) / ((high - low) or 1)

    return [
        Bar(
            label=f"gain over {gain.over}: {with_bounds(gain.interval, '+')}",
            colour=GREY if not gain.is_clear else BLUE if gain.interval.mean > 0 else RED,
            low=at(gain.interval.low),
            mean=at(gain.interval.mean),
            high=at(gain.interval.high),
            zero=at(0.0),
        )
        for gain in gains
    ]
