"""Measure the launcher's CPU time by its number of workers, with workers that only pretend.

    python -m benchmarks.launcher_scale WORKERS EPOCH_SECONDS TRIALS [STORAGE_URL] [--spread SHARE]
        [--sampler NAME]

A real study (SQLite in a temporary folder by default), the real ledger and scheduler, the default
pruner, 30 epochs a trial. CPU time is that of this process, over all its threads. Equal epochs have
all trials end at the same time, and their workers wait in a row for suggestions; with `--spread
0.5` a trial's epochs take between 0.5 and 1.5 times EPOCH_SECONDS, as trainings differ. Ideal is
the wall time of the same trainings without a launcher's delays. `--sampler random` leaves the
suggestions out of the CPU time.
"""

from __future__ import annotations

import argparse
import heapq
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import optuna

from benchmarks import launcher
from hpo.config.algorithms import PrunerConfig
from hpo.execution.scheduler import Scheduler
from recsys.training.resources import peak_resident_mb


def ideal_wall(trained: Sequence[tuple[float, float]], workers: int) -> float:
    """Return the seconds that the trainings take if each begins at once on the next free worker.

    Args:
        trained: when each training began, and its seconds; in the order of the beginnings.
        workers: number of workers.
    """
    free = [0.0] * workers
    for _, seconds in trained:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def main() -> None:
    """Print one line: wall time beside the ideal, reports a second, CPU time, memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workers", type=int)
    parser.add_argument("epoch_seconds", type=float)
    parser.add_argument("trials", type=int)
    parser.add_argument("storage", nargs="?")
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--sampler", default="tpe")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    launcher.EPOCH_SECONDS = options.epoch_seconds
    with tempfile.TemporaryDirectory() as folder:
        ledger = launcher.new_ledger(
            Path(folder), PrunerConfig().name, options.storage, options.sampler
        )
        runners = [launcher.StubRunner(options.spread) for _ in range(options.workers)]
        cpu, wall = time.process_time(), time.perf_counter()
        Scheduler(ledger, runners, launcher.Silent(), options.trials).run()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        trials = ledger.study.get_trials(deepcopy=False)
    reports = sum(len(trial.intermediate_values) for trial in trials)
    ideal = ideal_wall(sorted(each for runner in runners for each in runner.trained), len(runners))
    print(
        f"{options.workers} workers, epochs of {options.epoch_seconds:g} s, {len(trials)} trials, "
        f"{reports} reports: wall {wall:.1f} s (ideal {ideal:.1f}, {wall / ideal:.2f} times), "
        f"CPU {cpu:.1f} s, {cpu / wall:.2f} cores, {1000 * cpu / reports:.2f} ms of CPU a report, "
        f"{peak_resident_mb():.0f} MB"
    )


if __name__ == "__main__":
    main()
