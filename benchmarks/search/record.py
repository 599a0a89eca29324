"""Records the learning curves that samplers and pruners are compared on.

    python benchmarks/search/record.py --data ml-100k --data demo

For each data set: configs that fill the space of studies/two_tower.toml evenly (a scrambled Sobol
sequence, so that any number of them does), each with a seed of its own and trained for the space's
most epochs, with the product's patience, on one thread. A trial with fewer epochs is the same
curve cut off, because nothing in a training depends on how long it will be. Appends to
`benchmarks/results/curves`; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import qmc

from hpo.config.parameter import Parameter
from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout, split
from recsys.datasets.registry import load_dataset
from recsys.training.fit import Fit

REPOSITORY = Path(__file__).parents[2]
CURVES = REPOSITORY / "benchmarks" / "results" / "curves"
CPU = torch.device("cpu")
GOALS = {"demo": 300, "ml-100k": 300, "ml-latest-small": 300, "online-retail-ii": 300}
EVERY = {"online-retail-ii": 4}  # so many of the users are one: all take a minute a config


def space() -> dict[str, Parameter]:
    """Of the default study."""
    text = (REPOSITORY / "studies" / "two_tower.toml").read_text()
    return {name: Parameter(**spec) for name, spec in tomllib.loads(text)["space"].items()}


def configs(n: int) -> list[TrainConfig]:
    """The first `n`; more of them begin with these."""
    parameters = {name: spec for name, spec in space().items() if name != "epochs"}
    points = qmc.Sobol(len(parameters), scramble=True, rng=np.random.default_rng(0)).random(n)
    most = int(space()["epochs"].values[-1])
    found = []
    for seed, point in enumerate(points):
        drawn = {
            name: _at(spec, float(share), TrainConfig.is_integer(name))
            for (name, spec), share in zip(parameters.items(), point, strict=True)
        }
        found.append(TrainConfig.from_dict({**drawn, "epochs": most, "seed": seed}))
    return found


def _at(spec: Parameter, share: float, whole: bool) -> float:
    """The value at this share of the way from low to high."""
    low, high = spec.values[0], spec.values[-1]
    value = low * (high / low) ** share if spec.log else low + (high - low) * share
    return round(value) if whole else float(f"{value:.5g}")


def record(holdout: Holdout, config: TrainConfig) -> dict[str, Any]:
    """recall@10 and CPU seconds of each epoch; `setup`: before the first."""
    begin = time.process_time()
    fit = Fit(holdout, config, CPU)
    setup = time.process_time() - begin
    values, seconds = [], []
    begin = time.process_time()
    for result in fit:
        now = time.process_time()
        values.append(round(result.metrics.recall_at_10, 5))
        seconds.append(round(now - begin, 4))
        begin = now
    params = {name: getattr(config, name) for name in space() if name != "epochs"}
    return {
        "params": params, "seed": config.seed, "setup": round(setup, 4),
        "values": values, "seconds": seconds,
    }  # fmt: skip


def holdout_of(name: str, data_root: Path) -> Holdout:
    folder = data_root / name
    source = str(folder.resolve()) if folder.is_dir() else name
    rows = load_dataset(source).interactions
    return split(_some_users(rows, EVERY[name]) if name in EVERY else rows).tuning


def _some_users(rows: Interactions, every: int) -> Interactions:
    """One user of so many, with all of theirs, over a vocabulary of its own."""
    part = rows.take(rows.users % every == 0)
    return Interactions.from_ids(
        [rows.user_ids[user] for user in part.users],
        [rows.item_ids[item] for item in part.items],
        part.times,
        repeats=rows.repeats,
    )


def n_recorded(name: str) -> int:
    path = CURVES / f"{name}.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _turns(names: list[str], limit: int | None) -> Iterator[str]:
    """The data set that is furthest behind, until none is."""
    goals = {name: min(GOALS[name], limit or GOALS[name]) for name in names}
    while behind := [name for name in names if n_recorded(name) < goals[name]]:
        yield min(behind, key=lambda name: n_recorded(name) / goals[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", action="append", choices=GOALS, help="default: all")
    parser.add_argument("--limit", type=int, help="at most so many configs of each")
    parser.add_argument("--data-root", type=Path, default=REPOSITORY / ".." / "shared" / "data")
    options = parser.parse_args()
    torch.set_num_threads(1)
    CURVES.mkdir(parents=True, exist_ok=True)
    holdouts: dict[str, Holdout] = {}
    for name in _turns(options.data or list(GOALS), options.limit):
        if name not in holdouts:
            holdouts[name] = holdout_of(name, options.data_root)
        number = n_recorded(name)
        row = record(holdouts[name], configs(number + 1)[number])
        with (CURVES / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
        print(
            f"{name} {number}: {max(row['values']):.4f} in {len(row['values'])} epochs, "
            f"{sum(row['seconds']):.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
