"""Figures of the search, drawn from the trials alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.reporting.figures.style import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    RED,
    label_lines,
    new_figure,
    whole_ticks,
)
from hpo.study import TrialRow, best_so_far, complete_best_first
from recsys.evaluation import MetricName

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS: Mapping[str, Mapping[str, Any]] = {  # state: colour, marker
    "COMPLETE": {"color": BLUE, "marker": "o"},
    "PRUNED": {"color": GREY, "marker": "x"},
    "FAIL": {"color": RED, "marker": "v"},
}


def history(
    trials: Sequence[TrialRow], lines: Mapping[str, float], objective: MetricName
) -> Figure:
    """Draw every trial's value, the best so far, and the reference values as horizontal lines.

    Args:
        trials: all trials, by number.
        lines: reference values by name: the default configuration and the baselines.
        objective: metric of the values.
    """
    figure, (axes,) = new_figure(4.2)
    scatter(axes, trials, lambda trial: trial.number)
    found = zip(trials, best_so_far(trials), strict=True)
    steps = [(trial.number, best) for trial, best in found if best > float("-inf")]
    axes.step(*zip(*steps, strict=True), where="post", color=ORANGE, lw=2, label="best so far")
    values = [t.score for t in trials if t.value is not None] + list(lines.values())
    low, high = min(values), max(values)
    margin = 0.07 * ((high - low) or 0.1)
    failed = [trial.number for trial in trials if trial.state == "FAIL"]
    if failed:  # at the bottom, since failed trials have no value
        at = [low - margin] * len(failed)
        axes.scatter(failed, at, s=30, label="failed", zorder=3, **KINDS["FAIL"])
    axes.set_ylim(low - 2 * margin, high + margin)
    axes.set_xlabel("trial")
    whole_ticks(axes)
    axes.set_ylabel(objective)
    colours = dict.fromkeys(lines, "#56616c") | {"default": GREEN}
    label_lines(axes, [(value, name, colours[name]) for name, value in lines.items()])
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    return figure


def scatter(axes: Axes, trials: Sequence[TrialRow], across: Callable[[TrialRow], float]) -> None:
    """Draw the values of COMPLETE and PRUNED trials against a property of the trials.

    Args:
        axes: axes to draw on.
        trials: the trials; those without a value are left out.
        across: returns the horizontal place of a trial.
    """
    for state, label in (("PRUNED", "pruned (best until then)"), ("COMPLETE", "complete")):
        chosen = [t for t in trials if t.state == state and t.value is not None]
        if chosen:
            at, values = [across(t) for t in chosen], [t.score for t in chosen]
            axes.scatter(at, values, s=30, label=label, zorder=3, **KINDS[state])


def learning_curves(trials: Sequence[TrialRow], objective: MetricName) -> Figure:
    """Draw the objective by epoch; pruned trials end in a cross, failed trials in a triangle.

    Args:
        trials: all trials, at least one of them COMPLETE.
        objective: metric of the values.
    """
    figure, (axes,) = new_figure(4.4)
    best = complete_best_first(trials)[0]
    default = next((trial for trial in trials if trial.is_default and trial.curve), best)
    labelled: set[str] = set()
    for trial in trials:
        if trial.curve and trial.state in KINDS and trial is not best and trial is not default:
            label = (
                "_" if trial.state in labelled else trial.became
            )  # each state once in the legend
            labelled.add(trial.state)
            mark = {} if trial.state == "COMPLETE" else {"marker": KINDS[trial.state]["marker"]}
            colour = KINDS[trial.state]["color"]
            _curve(axes, trial, color=colour, alpha=0.55, lw=1, label=label, **mark)
    if default is not best:
        _curve(axes, default, color=GREEN, lw=2, label=f"default: trial {default.number}")
    _curve(axes, best, color=ORANGE, lw=2.4, label=f"best: trial {best.number}")
    axes.scatter([best.best_epoch], [best.score], marker="*", s=150, color=ORANGE, zorder=5)
    axes.set_xlabel("epoch")
    whole_ticks(axes)
    axes.set_ylabel(objective)
    axes.legend(loc="lower right")
    return figure


def _curve(axes: Axes, trial: TrialRow, **kind: Any) -> None:
    last = len(trial.curve) - 1  # only the last epoch has a marker
    epochs, values = list(trial.curve), list(trial.curve.values())
    axes.plot(epochs, values, markevery=[last], markersize=5, **kind)


def durations(trials: Sequence[TrialRow]) -> Figure:
    """Draw the wall time of each trial: in its epochs, by state, and outside its epochs."""
    figure, (axes,) = new_figure(3.1)
    ended = [trial for trial in trials if trial.ended is not None and trial.started is not None]
    for state, kind in KINDS.items():
        chosen = [trial for trial in ended if trial.state == state]
        if chosen:
            at = [trial.number for trial in chosen]
            seconds = [trial.seconds for trial in chosen]
            axes.bar(
                at, seconds, color=kind["color"], label=f"epochs, {chosen[0].became}", width=0.8
            )
    axes.bar(
        [trial.number for trial in ended],
        [trial.other_seconds for trial in ended],
        bottom=[trial.seconds for trial in ended],
        color=LIGHT,
        label="around the epochs",
        width=0.8,
    )
    axes.set_xlabel("trial")
    whole_ticks(axes)
    axes.set_ylabel("seconds")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    return figure
