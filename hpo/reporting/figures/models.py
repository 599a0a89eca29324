"""Figures of the models' quality: overall, by user activity, by item popularity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.reporting.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, new_figure
from hpo.reporting.model_comparison import BEST, DEFAULT, ComparedModel, ModelComparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recsys.evaluation import Interval

COLOURS: Mapping[str, str] = {
    BEST: ORANGE,
    DEFAULT: GREEN,
    "EASE": BLUE,
    "RP3beta": RED,
    "item-kNN": PURPLE,
    "popularity": GREY,
}


def values(found: Sequence[ComparedModel]) -> Figure:
    """Draw the objective of each model with its interval over users, the best trial at the top."""
    figure, (axes,) = new_figure(0.8 + 0.4 * len(found))
    for row, model in enumerate(reversed(found)):
        interval, colour = model.value, COLOURS[model.name]
        axes.plot([interval.low, interval.high], [row, row], color=colour, lw=3, alpha=0.55)
        axes.plot(interval.mean, row, "o", color=colour, markersize=8)
        axes.annotate(
            f"{interval.mean:.4f}", (interval.mean, row), (0, 8), textcoords="offset points",
            ha="center", fontsize=8.5,
        )  # fmt: skip
    axes.set_yticks(range(len(found)), [model.name for model in reversed(found)])
    axes.set_ylim(-0.5, len(found) - 0.3)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{found[0].objective} on validation, 95% interval over users")
    axes.grid(visible=False, axis="y")
    return figure


def segment_bars(compared: ModelComparison) -> Figure:
    """Draw the objective by history length and by item popularity, one bar per model."""
    figure, (users, items) = new_figure(3.7, 1, 2)
    evaluator, found = compared.evaluator, compared.found
    activity = [f"{group.shortest} to {group.longest}" for group in evaluator.user_groups]
    _bars(users, activity, {c.name: c.value_by_users for c in found})
    users.set_title("by user activity")
    users.set_xlabel("rows in the user's history")
    users.set_ylabel(evaluator.objective)
    popularity = [f"{group.name}\n{group.n_items:,} items" for group in evaluator.item_groups]
    _bars(items, popularity, {c.name: c.value_by_items for c in found})
    items.set_title("by item popularity")
    items.set_xlabel("a third of all rows each")
    handles, labels = users.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(found))
    return figure


def _bars(axes: Axes, names: Sequence[str], intervals: Mapping[str, Sequence[Interval]]) -> None:
    """Draw bars with error bars: one group per name, and in it one bar per model."""
    width = 0.8 / len(intervals)
    for number, (model, found) in enumerate(intervals.items()):
        at = [group + (number - (len(intervals) - 1) / 2) * width for group in range(len(names))]
        means = [interval.mean for interval in found]
        errors = [
            [interval.mean - interval.low for interval in found],
            [interval.high - interval.mean for interval in found],
        ]
        axes.bar(at, means, width * 0.92, color=COLOURS[model], label=model)
        axes.errorbar(at, means, errors, fmt="none", ecolor="#25303b", elinewidth=0.9, capsize=2)
    axes.set_xticks(range(len(names)), names)
    axes.grid(visible=False, axis="x")
