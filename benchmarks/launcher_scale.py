"""Measure the launcher's CPU time by its number of workers, with workers that only pretend.

    python -m benchmarks.launcher_scale WORKERS EPOCH_SECONDS TRIALS [STORAGE_URL] [--spread SHARE]

A real study (SQLite in a temporary folder by default), the real ledger and scheduler, the default
pruner, 30 epochs a trial. CPU time is that of this process, over all its threads. Equal epochs have
all trials end at the same time, and their workers wait in a row for suggestions; with `--spread
0.5` a trial's epochs take between 0.5 and 1.5 times EPOCH_SECONDS, as trainings differ.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import optuna

from benchmarks import launcher
from hpo.config.algorithms import PrunerConfig
from hpo.execution.scheduler import Scheduler


def main() -> None:
    """Print one line: wall time beside the ideal, reports a second, CPU time, memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workers", type=int)
    parser.add_argument("epoch_seconds", type=float)
    parser.add_argument("trials", type=int)
    parser.add_argument("storage", nargs="?")
    parser.add_argument("--spread", type=float, default=0.0)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    launcher.EPOCH_SECONDS = options.epoch_seconds
    with tempfile.TemporaryDirectory() as folder:
        ledger = launcher.new_ledger(Path(folder), PrunerConfig().name, options.storage)
        runners = [launcher.StubRunner(options.spread) for _ in range(options.workers)]
        cpu, wall = time.process_time(), time.perf_counter()
        Scheduler(ledger, runners, launcher.Silent(), options.trials).run()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        trials = ledger.study.get_trials(deepcopy=False)
    reports = sum(len(trial.intermediate_values) for trial in trials)
    ideal = sum(runner.slept for runner in runners)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{options.workers} workers, epochs of {options.epoch_seconds:g} s, {len(trials)} trials, "
        f"{reports} reports: wall {wall:.1f} s (ideal {ideal / options.workers:.1f}), "
        f"CPU {cpu:.1f} s, {cpu / wall:.2f} cores, {1000 * cpu / reports:.2f} ms of CPU a report, "
        f"{memory} MB"
    )


if __name__ == "__main__":
    main()
