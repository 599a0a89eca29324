"""Seconds of a sync of many finished trials: the first, with nothing new, from memory.

    python -m benchmarks.sync_cost [--trials 1000] [--epochs 30]

Both stores are SQLite. What happens once in a process is left out: MLflow's import, a new
database's migration.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import optuna

from hpo.tracking.mirror import Mirror
from recsys.artifacts.mlflow_client import open_client
from tests.support.fake_study import FakeStudy, locations


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        study = FakeStudy(locations(Path(folder)), n_trials=options.trials)
        study.add_finished(options.trials, options.epochs)
        open_client(study.locations.tracking_uri)
        mirror = Mirror(study.locations, None)
        for name, fresh in (("first", True), ("from memory", False)):
            report = mirror.sync(fresh=fresh)
            print(f"{name}: {report.seconds:.2f} s, {report.calls} calls", flush=True)
        for number in range(3):
            report = Mirror(study.locations, None).sync()
            assert report.created == report.updated == 0
            print(f"nothing new {number}: {report.seconds:.2f} s, {report.calls} calls", flush=True)


if __name__ == "__main__":
    main()
