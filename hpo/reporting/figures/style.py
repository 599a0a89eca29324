"""Style of the report's figures: colours that colour-blind readers can tell apart, few lines.

Only the object API of matplotlib is used, because pyplot keeps global state. Imports are lazy,
because the import of matplotlib makes folders in the user's home.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008; every meaning has a marker or a label too.
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#d97a00", "#00805f", "#c0392b", "#8a5a9e"
GREY, LIGHT, INK = "#8c939b", "#c9ced4", "#25303b"
WIDTH = 9.0  # inches
DPI = 160

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#a5adb5",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": "#e8ebee",
    "xtick.color": "#56616c",
    "ytick.color": "#56616c",
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with matplotlib's defaults and our settings, whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def new_figure(height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure and its grid of axes, which share their y axis.

    Args:
        height: height of the figure, in inches.
        rows: rows of the grid.
        columns: columns of the grid.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    return figure, list(axes.flat)


def whole_ticks(axes: Axes, most: int = 9) -> None:
    """Put the ticks of the x axis at whole numbers: half an epoch or half a trial does not exist.

    Args:
        axes: axes to change.
        most: largest number of intervals between ticks.
    """
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(most, integer=True))


def label_lines(axes: Axes, lines: list[tuple[float, str, str]]) -> None:
    """Draw dashed horizontal lines with their names at the right edge, moved apart if they overlap.

    Args:
        axes: axes to draw on.
        lines: height in data units, name and colour of each line.
    """
    low, high = axes.get_ylim()
    gap = 0.055 * (high - low)
    place = float("-inf")
    for value, name, colour in sorted(lines):
        axes.axhline(value, color=colour, linewidth=1.1, linestyle=(0, (5, 3)), zorder=1)
        place = max(value, place + gap)
        axes.annotate(
            f"{name} {value:.4f}",
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8.5,
            annotation_clip=False,
        )
