"""What an interaction costs as the data grows: 1M, 10M and 50M of them, 50,000 items.

    python -m benchmarks.growth [--rows 1000000 10000000 50000000]

The data is drawn here, a Parquet file in order of time with power-law items and 50 rows a user.
As in a study, one process reads, splits and prepares, and another one trains an epoch from the
prepared file and evaluates the sampled users. Each prints CPU seconds a stage and its peak memory,
mapped pages included. Two threads train and evaluate; the rest is as many as polars takes. What
`recsys.plan` says of the same sizes stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
import torch

from recsys.capacity import Capacity, Processor
from recsys.config import TrainConfig
from recsys.data.holdout_file import load_holdout, save_holdout
from recsys.data.splitting import split
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.readers.reader import read_dataset
from recsys.training.resources import Sizes, peak_resident_mb
from recsys.training.trainer import Trainer

ROWS = (1_000_000, 10_000_000, 50_000_000)
N_ITEMS, PER_USER = 50_000, 50
CONFIG = TrainConfig(dim=64)
THREADS = 2
T = TypeVar("T")


class Stages:
    """CPU seconds of this process by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.facts: dict[str, float] = {}

    def run(self, name: str, work: Callable[[], T]) -> T:
        """Do the work of one stage and note what it cost."""
        start, wall = time.process_time(), time.perf_counter()
        result = work()
        self.seconds[name] = time.process_time() - start
        self.facts[f"{name}_wall"] = time.perf_counter() - wall
        return result

    def report(self) -> str:
        peak = peak_resident_mb() / 1000
        return json.dumps({"seconds": self.seconds, "facts": self.facts, "peak_gb": peak})


def draw(folder: Path, n: int) -> Stages:
    """A log in order of time; items fall off like a power law."""
    rng = np.random.default_rng(0)
    names = rng.permutation(N_ITEMS).astype(np.int32)
    frame = pl.DataFrame(
        {
            "user_id": rng.integers(0, n // PER_USER, n, dtype=np.int32),
            "item_id": names[(N_ITEMS * rng.random(n, np.float32) ** 3).astype(np.int32)],
            "timestamp": 1_500_000_000 + np.arange(n) * 100_000_000 // n,
        }
    )
    frame.write_parquet(folder / "log.parquet", row_group_size=1_000_000)
    return Stages()


def launcher(folder: Path, _: int) -> Stages:
    """Read, split and prepare, as hpo.run does."""
    stages = Stages()
    dataset = stages.run("read", lambda: read_dataset(folder / "log.parquet"))
    parts = stages.run("split", lambda: split(dataset.interactions))
    stages.run("fingerprint", lambda: parts.fingerprint)
    stages.run("prepare", lambda: save_holdout(folder / "holdout", parts.tuning))
    return stages


def worker(folder: Path, _: int) -> Stages:
    """Train an epoch and evaluate it, as hpo.runners.worker does."""
    torch.set_num_threads(THREADS)
    stages, cpu = Stages(), torch.device("cpu")
    holdout = stages.run("open", lambda: load_holdout(folder / "holdout"))
    trainer = stages.run("model", lambda: Trainer(holdout.seen, CONFIG, cpu))
    stages.run("epoch", trainer.train_epoch)
    evaluator = stages.run("evaluator", lambda: Evaluator(holdout, cpu))
    stages.run("evaluation", lambda: evaluator.evaluate(TowerScorer(trainer.model, holdout.seen)))
    stages.facts["asked"] = len(evaluator.users)
    stages.facts["trained_on"] = len(holdout.seen)
    return stages


ROLES: dict[str, Callable[[Path, int], Stages]] = {
    "draw": draw,
    "launcher": launcher,
    "worker": worker,
}


def measure(role: str, folder: Path, n: int) -> dict[str, Any]:
    """Run one role in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.growth", "--role", role]
    command += ["--folder", str(folder), "--rows", str(n)]
    # A thread that waits for the other one must not count as work.
    env = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(n: int, role: str, found: dict[str, Any]) -> float:
    """Print one process's stages; CPU microseconds an interaction without the evaluation."""
    for name, seconds in found["seconds"].items():
        print(
            f"{n:>12,}  {role:8}  {name:12} {seconds:9.2f} CPU s  {seconds / n * 1e6:8.3f} us each"
        )
    print(f"{n:>12,}  {role:8}  peak memory  {found['peak_gb']:9.2f} GB")
    return sum(s for name, s in found["seconds"].items() if name != "evaluation") / n * 1e6


def planned(n: int, found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Return the figures of recsys.plan beside the measured ones."""
    sizes = Sizes(n // PER_USER, N_ITEMS, n)
    plan = Capacity.of(sizes, CONFIG, torch.device("cpu"), THREADS, Processor.here())
    launcher, worker = found["launcher"], found["worker"]
    seconds = worker["seconds"]
    for name, said, measured, unit in (
        ("launcher", plan.read_bytes / 1e9, launcher["peak_gb"], "GB"),
        ("worker", plan.worker_bytes / 1e9, worker["peak_gb"], "GB"),
        ("read", plan.read_seconds, sum(launcher["seconds"].values()), "CPU s"),
        ("epoch", plan.epoch_seconds or 0.0, seconds["epoch"], "CPU s"),
        ("evaluation", plan.evaluation_seconds or 0.0, seconds["evaluation"], "CPU s"),
    ):
        yield (
            f"{n:>12,}  plan      {name:12} {said:9.2f} {unit}, measured {measured:.2f}: "
            f"{said / measured:.2f} times"
        )


def main() -> None:
    """Print the table, then what growth did to the cost of an interaction."""
    options = parser().parse_args()
    if options.role:
        print(ROLES[options.role](options.folder, *options.rows).report())
        return
    print(
        f"torch {torch.__version__}, polars {pl.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}; dim {CONFIG.dim}, {THREADS} threads"
    )
    each: dict[int, float] = {}
    for n in options.rows:
        with tempfile.TemporaryDirectory(prefix="growth-") as name:
            folder = Path(name)
            measure("draw", folder, n)
            found = {role: measure(role, folder, n) for role in ("launcher", "worker")}
        each[n] = sum(show(n, role, report) for role, report in found.items())
        facts = found["worker"]["facts"]
        speed = facts["trained_on"] / facts["epoch_wall"]
        print(
            f"{n:>12,}  an epoch trains on {speed:,.0f} interactions a second; {facts['asked']:,} "
            f"users asked; {each[n]:.3f} CPU us an interaction without the evaluation",
            flush=True,
        )
        print("\n".join(planned(n, found)), flush=True)
    first, last = min(each), max(each)
    print(f"from {first:,} to {last:,}: {each[last] / each[first]:.2f} times the cost of each")


def parser() -> argparse.ArgumentParser:
    """How much, and the role of a process that this one starts."""
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    result.add_argument("--rows", type=int, nargs="+", default=ROWS, metavar="N")
    result.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    result.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return result


if __name__ == "__main__":
    main()
