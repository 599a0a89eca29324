"""Tables of what `compare.py` measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Rows = Mapping[tuple[str, str], dict[str, Any]]


def report(rows: Rows, data: Sequence[str], budgets: Sequence[int]) -> str:
    """A table for each data set, then the mean ranks over all of them."""
    parts = [_table(rows, each, budgets) for each in data]
    return "\n\n".join([*parts, _ranks(rows, data, budgets)])


def _table(rows: Rows, data: str, budgets: Sequence[int]) -> str:
    mine = [row for (of, _), row in rows.items() if of == data]
    if not mine:
        return ""
    head = f"{data}: {mine[0]['configs']} configs, a full trial {mine[0]['full_seconds']:.1f} s"
    titles = ["", "50 trials", "without luck", "CPU s", "pruned", *[f"CPU of {n}" for n in budgets]]
    titles.append("without luck")
    last = f"full_{budgets[-1]}"
    lines = []
    for row in sorted(mine, key=lambda row: -np.median(row[last]["best"])):
        fifty = row["trials"]
        lines.append(
            [
                row["name"], _spread(fifty["best"]), f"{np.median(fifty['expected']):.4f}",
                f"{np.median(fifty['seconds']):.0f}", f"{np.median(fifty['pruned']):.0f}",
                *[_spread(row[f"full_{n}"]["best"]) for n in budgets],
                f"{np.median(row[last]['expected']):.4f}",
            ]
        )  # fmt: skip
    return f"{head}\n\n{_markdown(titles, lines)}"


def _spread(values: Iterable[float]) -> str:
    """Median and quartiles."""
    low, middle, high = np.percentile(list(values), [25, 50, 75])
    return f"{middle:.4f} ({low:.4f} to {high:.4f})"


def _ranks(rows: Rows, data: Sequence[str], budgets: Sequence[int]) -> str:
    """Mean over data sets and seeds of the rank among the contenders of all of them, 1 is best."""
    names = [name for of, name in rows if of == data[0]]
    names = [name for name in names if all((each, name) in rows for each in data)]
    most = max((len(rows[data[0], name]["trials"]["best"]) for name in names), default=0)
    names = [
        name
        for name in names
        if all(len(rows[each, name]["trials"]["best"]) == most for each in data)
    ]
    if not names:
        return ""
    keys = ["trials", *[f"full_{n}" for n in budgets]]
    columns = []
    for key in keys:
        for figure in ("best", "expected"):
            ranks = [_rank(np.array([rows[each, n][key][figure] for n in names])) for each in data]
            columns.append(np.mean(ranks, axis=(0, 2)))
    table = np.array(columns).T
    order = np.argsort(table[:, -1])
    titles = ["mean rank", *[f"{key} {what}" for key in keys for what in ("best", "w/o luck")]]
    lines = [[names[i], *[f"{rank:.1f}" for rank in table[i]]] for i in order]
    return _markdown(titles, lines)


def _rank(values: np.ndarray) -> np.ndarray:
    """(contenders, seeds) -> ranks of each seed, equal ones shared."""
    above = (values[None] > values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return above + (equal + 1) / 2


def _markdown(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
