"""Figures of the search space: importance of the parameters, and places of good values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.config import Parameter
from hpo.reporting.figures.search import scatter
from hpo.reporting.figures.style import BLUE, INK, LIGHT, ORANGE, new_figure, whole_ticks
from hpo.reporting.insights import position
from hpo.study import TrialRow, complete_best_first
from recsys.config import Hyperparameters, TrainConfig
from recsys.evaluation import MetricName

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_ROW = 3
ABSENT = -0.12  # height of trials without the (conditional) parameter
MAX_TICKS = 4  # ticks of a slice: few enough that labels of neighbouring slices do not touch
MAX_LEVEL = 6  # number of parameters with names that fit side by side


def importance_bars(importance: Mapping[str, float]) -> Figure:
    """Draw the share of each parameter in reaching the best tenth, the largest at the top."""
    figure, (axes,) = new_figure(0.9 + 0.36 * len(importance))
    names = list(importance)[::-1]
    shares = [importance[name] for name in names]
    axes.barh(names, shares, color=BLUE, height=0.6)
    for row, share in enumerate(shares):
        axes.annotate(f"{share:.2f}", (share, row), (5, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, max(shares) * 1.1)
    axes.set_xlabel("importance for the best tenth of the complete trials (PED-ANOVA)")
    axes.grid(visible=False, axis="y")
    return figure


def parallel_coordinates(
    trials: Sequence[TrialRow], space: Mapping[str, Parameter], objective: MetricName
) -> Figure:
    """Draw one line per trial through its parameters to its value, darker if better.

    Args:
        trials: all trials, at least one of them COMPLETE.
        space: the searched parameters by name.
        objective: metric of the values.
    """
    from matplotlib import colormaps

    figure, (axes,) = new_figure(4.2)
    valued = sorted((t for t in trials if t.value is not None), key=lambda t: t.score)
    low, high = valued[0].score, valued[-1].score
    best = complete_best_first(trials)[0]
    for trial in valued:
        height = (trial.score - low) / ((high - low) or 1.0)
        colour = colormaps["viridis_r"](0.15 + 0.85 * height)
        kind: dict[str, Any] = {"color": colour, "lw": 1.2, "alpha": 0.2 + 0.8 * height**3}
        if trial.state == "PRUNED":
            kind |= {"color": LIGHT, "lw": 1.0, "alpha": 1.0, "linestyle": (0, (4, 2))}
        if trial is best:
            kind |= {"color": ORANGE, "lw": 2.8}
        heights = [
            _place(parameter, trial.params[name]) if name in trial.params else ABSENT
            for name, parameter in space.items()
        ]
        axes.plot([*heights, height], zorder=3 if trial.state == "COMPLETE" else 2, **kind)
    columns = len(space)
    for column, parameter in enumerate(space.values()):
        marks = [(_place(parameter, value), f"{value:g}") for value in parameter.values]
        marks += [(ABSENT, "not searched")] if parameter.when else []
        _axis(axes, column, marks)
    _axis(axes, columns, [(0.0, f"{low:.4f}"), (1.0, f"{high:.4f}")])
    axes.set_xlim(-0.3, columns + 0.35)
    turned: dict[str, Any] = {"rotation": 25, "ha": "right"} if columns > MAX_LEVEL else {}
    names = [*space, objective]
    axes.set_xticks(range(columns + 1), names, fontweight="bold", color=INK, **turned)
    axes.tick_params(length=0, pad=8)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    return figure


def _place(parameter: Parameter, value: float) -> float:
    """Return the height of a value on its parameter's axis, 0 to 1; choices are equally spaced."""
    if parameter.choices is not None:
        return parameter.choices.index(value) / (len(parameter.choices) - 1)
    return position(parameter, value)


def _axis(axes: Axes, column: int, marks: list[tuple[float, str]]) -> None:
    axes.axvline(column, color="#56616c", lw=1, zorder=4)
    for height, text in marks:
        axes.annotate(
            text, (column, height), (6, 0), textcoords="offset points", va="center",
            fontsize=8.5, zorder=6, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip


def slices(
    trials: Sequence[TrialRow],
    space: Mapping[str, Parameter],
    objective: MetricName,
    model: type[Hyperparameters] = TrainConfig,
) -> Figure:
    """Draw the objective against each parameter on its own scale, the best trial as a star.

    Args:
        trials: all trials, at least one of them COMPLETE.
        space: the searched parameters by name.
        objective: metric of the values.
        model: the class of the hyperparameters.
    """
    rows = -(-len(space) // PER_ROW)
    figure, grid = new_figure(2.7 * rows + 0.3, rows, min(len(space), PER_ROW))
    best = complete_best_first(trials)[0]
    for axes, (name, parameter) in zip(grid, space.items(), strict=False):
        having = [trial for trial in trials if name in trial.params]
        scatter(axes, having, lambda trial, name=name: trial.params[name])  # type: ignore[misc]
        if best in having:
            at, label = best.params[name], f"best: trial {best.number}"
            star = {"marker": "*", "s": 190, "color": ORANGE, "edgecolor": "white", "zorder": 5}
            axes.scatter([at], [best.score], label=label, **star)  # type: ignore[arg-type]
        if parameter.choices is not None:
            axes.set_xticks(parameter.choices, [f"{choice:g}" for choice in parameter.choices])
        elif parameter.log:
            _log_scale(axes, parameter, whole=model.is_integer(name))
        elif model.is_integer(name):
            whole_ticks(axes, MAX_TICKS)
        else:
            axes.locator_params(axis="x", nbins=MAX_TICKS)
        axes.set_xlabel(name, fontweight="bold")
    for axes in grid[:: min(len(space), PER_ROW)]:
        axes.set_ylabel(objective)
    for axes in grid[len(space) :]:
        axes.set_visible(False)
    handles, labels = max(
        (a.get_legend_handles_labels() for a in grid), key=lambda found: len(found[0])
    )
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _log_scale(axes: Axes, parameter: Parameter, *, whole: bool) -> None:
    """Set ticks at both ends and near the middle: the range may contain no power of ten."""
    low, high = parameter.values
    axes.set_xscale("log")
    ticks = [low, *middle_tick(low, high, whole=whole), high]
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.minorticks_off()
    labels = axes.get_xticklabels()
    labels[0].set_horizontalalignment(
        "left"
    )  # else the label touches the last label of the axes beside
    labels[-1].set_horizontalalignment("right")


def middle_tick(low: float, high: float, *, whole: bool) -> list[float]:
    """Return a plain number near the middle of a logarithmic range; [] if none lies well inside.

    Args:
        low: lower end of the range.
        high: upper end of the range.
        whole: True for a parameter of whole numbers.
    """
    middle = (low * high) ** 0.5
    exponent = math.floor(math.log10(middle))
    plain = [digit * 10.0**power for power in (exponent, exponent + 1) for digit in (1, 2, 5)]
    found = float(round(middle)) if whole else min(plain, key=lambda x: abs(math.log(x / middle)))
    return [found] if low * 1.5 < found < high / 1.5 else []
