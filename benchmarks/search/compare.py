"""Compares samplers and pruners on recorded curves, at equal trials and at equal CPU seconds.

    python benchmarks/search/record.py     # once, hours: see there
    python benchmarks/search/compare.py    # what is not there yet
    python benchmarks/search/compare.py --report

Every study begins with the default configuration and searches the space of studies/two_tower.toml
on one worker. CPU seconds are the recorded ones of the trainings: pruned epochs cost nothing.
Results are kept in `benchmarks/results/search.jsonl`, a line a cell. A cell of as many configs and
seeds is not computed again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

sys.path.insert(0, str(Path(__file__).parents[1]))

from recsys.config import TrainConfig
from search.contenders import contenders
from search.record import CURVES, GOALS, space
from search.replay import History, replay
from search.report import report
from search.table import Table

RESULTS = CURVES.parent / "search.jsonl"
N_TRIALS = 50
FULL_TRIALS = (10, 25, 50)  # budgets in CPU seconds: so many trials that nobody prunes
MOST = 400  # trials of one study: no contender runs out of them before the seconds end


def distributions() -> dict[str, BaseDistribution]:
    found: dict[str, BaseDistribution] = {}
    for name, spec in space().items():
        low, high = spec.values[0], spec.values[-1]
        if TrainConfig.is_integer(name):
            found[name] = IntDistribution(int(low), int(high), log=spec.log)
        else:
            found[name] = FloatDistribution(low, high, log=spec.log)
    return found


@cache
def table(name: str) -> Table:
    scales = {
        key: (spec.values[0], spec.values[-1], spec.log)
        for key, spec in space().items()
        if key != "epochs"
    }
    return Table(CURVES / f"{name}.jsonl", scales)


def cell(data: str, name: str, n_seeds: int) -> dict[str, Any]:
    """One contender on one data set, all seeds."""
    epochs = [int(end) for end in space()["epochs"].values]
    full = table(data).full_cost(epochs[0], epochs[-1])
    start = {key: getattr(TrainConfig(), key) for key in space()}
    begin, histories = time.process_time(), []
    for seed in range(n_seeds):
        contender = contenders()[name]()
        histories.append(
            replay(
                contender, table(data), distributions(), start, seed,
                FULL_TRIALS[-1] * full, N_TRIALS,
                N_TRIALS if name == "gp" else MOST,  # a CPU second a suggestion
            )
        )  # fmt: skip
    at_end = [_at(each, each.after(N_TRIALS)) for each in histories]
    row: dict[str, Any] = {"data": data, "name": name, "configs": len(table(data).curves)}
    row["full_seconds"] = round(full, 3)
    row["trials"] = _columns(at_end)
    for n in FULL_TRIALS:
        row[f"full_{n}"] = _columns([_at(each, each.within(n * full)) for each in histories])
    trials = sum(len(each.best) for each in histories)
    row["ask_ms"] = round(1000 * sum(each.asked for each in histories) / trials, 2)
    row["took"] = round(time.process_time() - begin, 1)
    return row


def _at(history: History, trial: int) -> dict[str, float]:
    if trial < 0:
        return {"best": 0.0, "expected": 0.0, "seconds": 0.0, "n": 0, "pruned": 0}
    return {
        "best": round(history.best[trial], 5),
        "expected": round(history.expected[trial], 5),
        "seconds": round(history.seconds[trial], 2),
        "n": trial + 1,
        "pruned": sum(history.pruned[: trial + 1]),
    }


def _columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def results() -> dict[tuple[str, str], dict[str, Any]]:
    """(data, contender) -> the last line of that cell."""
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {(row["data"], row["name"]): row for row in rows}


def is_kept(row: dict[str, Any] | None, n_configs: int, n_seeds: int) -> bool:
    if row is None:
        return False
    return (row["configs"], len(row["trials"]["best"])) == (n_configs, n_seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", action="append", choices=GOALS, help="default: all recorded")
    parser.add_argument("--only", action="append", choices=contenders(), help="default: all")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--report", action="store_true", help="print the tables and run nothing")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    recorded = [name for name in GOALS if (CURVES / f"{name}.jsonl").exists()]
    names = options.data or recorded
    for data in () if options.report else names:
        for name in options.only or contenders():
            if is_kept(results().get((data, name)), len(table(data).curves), options.seeds):
                continue
            row = cell(data, name, options.seeds)
            with RESULTS.open("a") as file:
                file.write(json.dumps(row, separators=(",", ":")) + "\n")
            best = np.median(row["trials"]["best"])
            print(f"{data} {name}: {best:.4f} ({row['took']} s)", flush=True)
    print(report(results(), names, FULL_TRIALS))


if __name__ == "__main__":
    main()
