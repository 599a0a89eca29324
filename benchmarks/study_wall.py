"""The wall time of a study beside plain training processes, and what its trials cost at least.

    python -m benchmarks.study_wall [--data ml-100k] [--trials 30] [--workers 2]

First `hpo.run` as a user calls it, MLflow on, random search without pruning, without the report at
the end, on the CPU. Then as many plain processes as it had workers train the same configurations
with the same seeds there, each reading the data itself, trial i in process i % workers: no study,
no database. Lines: the study at most 1.15 times the plain processes, and at most 1.10 times (sum of
its trials' seconds / workers) from its first trial's start to its last one's end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from hpo.config.search_space import SearchSpace
from hpo.study.data import load_split
from hpo.study.lifecycle import load_named
from hpo.study.records import Attempt, Outcome, StudyRecord, first_start_ms, milliseconds
from hpo.study.storage import open_storage
from recsys.config import TrainConfig
from recsys.training.fit import Fit

NAME = "wall"


def plain(folder: Path, first: int, workers: int) -> None:
    """Train every `workers`-th configuration of the file, from the first on."""
    task = json.loads((folder / "configs.json").read_text())
    torch.set_num_threads(task["threads"])
    split = load_split(_record(folder), None)
    for values in task["configs"][first::workers]:
        for _ in Fit(split.tuning, TrainConfig.from_dict(values), torch.device("cpu")):
            pass


def _record(folder: Path) -> StudyRecord:
    return StudyRecord.of(load_named(open_storage(_database(folder)), NAME))


def _database(folder: Path) -> str:
    return f"sqlite:///{(folder / 'optuna.db').as_posix()}"


def run_study(folder: Path, options: argparse.Namespace) -> float:
    """Wall seconds of the whole command."""
    tracking = f"sqlite:///{(folder / 'mlflow.db').as_posix()}"
    return _wall([[
        "hpo.run", "--data", options.data, "--n-trials", options.trials, "--workers",
        options.workers, "--device", "cpu", "--study-name", NAME, "--storage", _database(folder),
        "--tracking-uri", tracking, "--no-report", "--set", "pruner.name=none", "--set",
        "sampler.name=random",
    ]])  # fmt: skip


def _wall(commands: list[list[object]]) -> float:
    begin = time.perf_counter()
    calls = [[sys.executable, "-m", *map(str, command)] for command in commands]
    running = [subprocess.Popen(call, stdout=subprocess.DEVNULL) for call in calls]
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit(f"{calls}: exit codes {codes}")
    return time.perf_counter() - begin


def write_configs(folder: Path) -> tuple[float, float]:
    """Keep what the study has trained; seconds of all trials, and from first start to last end."""
    study = load_named(open_storage(_database(folder)), NAME)
    space, configs, seconds, threads = SearchSpace(_record(folder).config), [], 0.0, 1
    starts, ends = [], []
    for trial in study.trials:
        attempt, outcome = Attempt.of(trial), Outcome.of(trial)
        assert attempt
        assert outcome
        assert trial.datetime_complete
        configs.append(space.config(trial.params, attempt.seed).as_dict())
        seconds, threads = seconds + outcome.seconds, attempt.threads
        starts.append(first_start_ms(trial) or 0)
        ends.append(milliseconds(trial.datetime_complete))
    (folder / "configs.json").write_text(json.dumps({"threads": threads, "configs": configs}))
    return seconds, (max(ends) - min(starts)) / 1000


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="ml-100k", help="name or path")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        plain(options.plain, options.first, options.workers)
        return
    print(f"{options.workers} workers, {options.trials} trials, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        study = run_study(folder, options)
        seconds, span = write_configs(folder)
        share = seconds / options.workers
        print(f"study: {study:.1f} s; first start to last end {span:.1f} s = "
              f"{span / share:.3f} x (training and evaluation / workers, {share:.1f} s)",
              flush=True)  # fmt: skip
        me = ["benchmarks.study_wall", "--plain", folder, "--workers", options.workers, "--first"]
        bare = _wall([[*me, first] for first in range(options.workers)])
        print(f"plain processes: {bare:.1f} s; study / plain = {study / bare:.3f}")


if __name__ == "__main__":
    main()
