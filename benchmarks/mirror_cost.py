"""What MLflow costs a study: the same trials with and without the mirror beside them, in pairs.

    python -m benchmarks.mirror_cost [--data ml-100k] [--trials 50] [--pairs 3]

Random search without pruning, so that both studies of a pair train the same configurations. What
happens once in a process is left out: MLflow's import, its first connection, a new database's
migration. Wall time runs from the start of the mirror to the end of its last sync. On a busy
machine walls wander; the CPU seconds of launcher and workers are sturdier.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import optuna
from rich.console import Console

from hpo.config.locations import Locations
from hpo.config.study_config import StudyConfig
from hpo.config.toml_file import load_study_config
from hpo.execution.launcher import make_record
from hpo.execution.ledger import Ledger
from hpo.execution.progress import LineProgress
from hpo.execution.request import Request
from hpo.execution.scheduler import Scheduler
from hpo.execution.session import make_runners
from hpo.study.lifecycle import open_study
from hpo.study.storage import open_storage, parking_place
from hpo.tracking.background import MirrorThread
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.data.splitting import Split

FILE = Path("studies/two_tower.toml")


class Cost(NamedTuple):
    """Seconds: wall, CPU of the launcher (the mirror is a thread of it), CPU of the workers."""

    wall: float
    launcher: float
    workers: float


def study_config(data: str, n_trials: int) -> StudyConfig:
    changes = {
        "data": {"source": data},
        "n_trials": n_trials,
        "sampler": {"name": "random"},
        "pruner": {"name": "none"},
    }
    return load_study_config(FILE, changes)


def run_study(
    folder: Path, config: StudyConfig, name: str, split: Split, workers: int, *, tracked: bool
) -> Cost:
    root = folder.as_posix()
    locations = Locations(f"sqlite:///{root}/optuna.db", f"sqlite:///{root}/mlflow.db")
    storage = open_storage(locations.storage)
    study, record = open_study(storage, "cost", make_record(config, name, split))
    ledger = Ledger(study, record.config, parking_place(locations.storage, record))
    request = Request(
        config, "cost", locations, "process", ["cpu"] * workers,
        tracking=tracked, report=False, promote=False,
    )  # fmt: skip
    client = open_client(locations.tracking_uri)
    client.search_runs([experiment_id(client, locations.experiment)])
    children = _cpu(resource.RUSAGE_CHILDREN)
    with make_runners(request, split.tuning, record) as runners:
        mirror = MirrorThread(locations, "cost") if tracked else None
        started, cpu = time.perf_counter(), time.process_time()
        if mirror:
            mirror.start()
        progress = LineProgress(Console(quiet=True), config.n_trials, 0, 0.0, config.objective)
        Scheduler(ledger, runners, progress, config.n_trials, None, None).run()
        if mirror:
            print(f"  {mirror.stop()}")
        wall, launcher = time.perf_counter() - started, time.process_time() - cpu
    return Cost(wall, launcher, _cpu(resource.RUSAGE_CHILDREN) - children)


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="ml-100k", help="name or path")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    from hpo.study.data import load_data

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = study_config(options.data, options.trials)
    name, split = load_data(config)
    walls, shares = [], []
    with tempfile.TemporaryDirectory() as base:
        template = Path(base) / "mlflow.db"
        open_client(f"sqlite:///{template.as_posix()}")
        for pair in range(options.pairs):
            costs = {}
            for tracked in (False, True) if pair % 2 else (True, False):
                folder = Path(base) / f"{pair}-{tracked}"
                folder.mkdir()
                shutil.copy(template, folder)
                costs[tracked] = run_study(
                    folder, config, name, split, options.workers, tracked=tracked
                )
                print(f"pair {pair} tracked={tracked} {costs[tracked]}", flush=True)
            bare, tracked_ = costs[False], costs[True]
            walls.append(tracked_.wall / bare.wall)
            extra = tracked_.launcher - bare.launcher
            shares.append(extra / (bare.launcher + bare.workers))
            print(f"pair {pair}: wall x {walls[-1]:.3f}, mirror {shares[-1]:.1%} of the CPU time")
    print(f"median: wall x {median(walls):.3f}, mirror {median(shares):.1%} of the CPU time")


if __name__ == "__main__":
    main()
