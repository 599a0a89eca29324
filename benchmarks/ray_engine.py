"""Cost and gain of a Ray cluster: beside worker processes, one node, and Ray Tune.

    python -m benchmarks.ray_engine [--part overhead] [--repeats 3]

A head without CPUs and nodes of one CPU, all on this machine (`ray.cluster_utils.Cluster`). The
trials only wait, so that two cores are enough. Wall seconds; starting the cluster is not counted.

- nodes: 40 trials of 2 seconds with two nodes, with one, and with two worker processes. Lines: two
  nodes at most 0.6 of one node's time, and at most 1.10 times the processes' time.
- tune: 50 trials of 30 epochs of 5 ms with pruning, by two workers: this engine beside Ray Tune
  with its OptunaSearch and ASHA. Line: at least twice its trials a second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import hpo
from recsys import EpochResult, Holdout, Hyperparameters, Metrics, within

STUDY = """
n_trials = {trials}
trainable = "benchmarks.ray_engine:Waiting"

[base]
epochs = {epochs}
seconds = {seconds}

[space]
dim = {{ low = 8, high = 512, log = true }}
lr = {{ low = 1e-4, high = 1e-1, log = true }}

[pruner]
name = "{pruner}"
"""
GAIN, COST, BESIDE_TUNE = 0.6, 1.10, 0.5  # the lines


@dataclass(frozen=True)
class WaitingConfig(Hyperparameters):
    """Hyperparameters of a training that only waits."""

    dim: int = within(64, low=8, high=512)
    lr: float = within(0.01, low=1e-4, high=1e-1)
    epochs: int = within(30, low=1, high=1000)
    seconds: float = within(0.005, low=0.0, high=60.0)
    seed: int = within(0, low=0, high=2**31 - 1)


def curve(dim: float, lr: float, epoch: int) -> float:
    """Return a value that grows with dim and by epoch, and has its best lr in the middle."""
    return dim / (dim + 100) * (1 - 0.9**epoch) / (1 + abs(lr - 0.01))


class Waiting:
    """A recommender whose epochs wait, and whose scores come from its hyperparameters."""

    config = WaitingConfig

    def epochs(self, holdout: Holdout, config: WaitingConfig) -> Iterator[EpochResult]:
        """Yield epochs of a fixed length that cost no CPU."""
        del holdout
        for epoch in range(1, config.epochs + 1):
            time.sleep(config.seconds)
            value = curve(config.dim, config.lr, epoch)
            metrics = Metrics(value, value, value, value, value, value, value, n_users=1000)
            yield EpochResult(epoch, 1 / epoch, metrics, config.seconds)


class Nodes:
    """A cluster of this machine whose nodes have one CPU each, joined by this process."""

    def __init__(self, n_nodes: int) -> None:
        import ray
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": 120_000_000, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(n_nodes):
            self._cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        self._cluster.wait_for_nodes(60)
        ray.init(address=self._cluster.address, log_to_driver=False, logging_level="ERROR")

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()


@dataclass(frozen=True)
class Work:
    """A search to measure.

    Attributes:
        trials: number of trials.
        epochs: epochs of a trial.
        seconds: length of an epoch.
        pruner: name of the pruner.
    """

    trials: int
    epochs: int
    seconds: float
    pruner: str


def ours(runner: Literal["ray", "process"], work: Work) -> float:
    """Return the wall seconds of a study with two workers, from the call to its result.

    Args:
        runner: the engine.
        work: the search.
    """
    users = range(30)
    data = {
        "user_id": [user for user in users for _ in range(8)],
        "item_id": [(user + item) % 40 for user in users for item in range(8)],
        "timestamp": list(range(8 * len(users))),
    }
    with tempfile.TemporaryDirectory() as place:
        study = Path(place) / "waiting.toml"
        study.write_text(STUDY.format(**vars(work)))
        began = time.perf_counter()
        hpo.tune(
            data,
            study=study,
            runner=runner,
            workers=2,
            storage=Path(place) / "optuna.db",
            tracking=False,
            verbose=False,
            settings={"threads": 1},
        )
        return time.perf_counter() - began


def ray_tune(work: Work) -> float:
    """Return the wall seconds of the same search by Ray Tune, with OptunaSearch and ASHA."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, work.epochs + 1):
            time.sleep(work.seconds)
            tune.report({"value": curve(config["dim"], config["lr"], epoch)})

    with tempfile.TemporaryDirectory() as place:
        tuner = tune.Tuner(
            train,
            param_space={"dim": tune.lograndint(8, 512), "lr": tune.loguniform(1e-4, 1e-1)},
            tune_config=tune.TuneConfig(
                metric="value",
                mode="max",
                num_samples=work.trials,
                search_alg=OptunaSearch(),
                scheduler=ASHAScheduler(max_t=work.epochs),
            ),
            run_config=tune.RunConfig(storage_path=place, verbose=0),
        )
        began = time.perf_counter()
        tuner.fit()
        return time.perf_counter() - began


def nodes_part(repeats: int) -> None:
    """Print the time of 40 trials of 2 seconds in three places."""
    work = Work(trials=40, epochs=20, seconds=0.1, pruner="none")
    with Nodes(1):
        one = median("one node", lambda: ours("ray", work), repeats)
    with Nodes(2):
        two = median("two nodes", lambda: ours("ray", work), repeats)
    processes = median("two worker processes", lambda: ours("process", work), repeats)
    print(f"  two nodes take {verdict(two / one, GAIN)} of one node's time")
    print(f"  and {verdict(two / processes, COST)} times the processes' time", flush=True)


def tune_part(repeats: int) -> None:
    """Print trials a second beside Ray Tune's."""
    work = Work(trials=50, epochs=30, seconds=0.005, pruner="percentile")
    with Nodes(2):
        own = median("this engine", lambda: ours("ray", work), repeats)
        theirs = median("Ray Tune", lambda: ray_tune(work), repeats)
    print(
        f"  {work.trials / own:.2f} and {work.trials / theirs:.2f} trials/s; this engine takes "
        f"{verdict(own / theirs, BESIDE_TUNE)} of Ray Tune's time",
        flush=True,
    )


def median(name: str, measure: Callable[[], float], repeats: int) -> float:
    """Measure some times, print all, and return the median.

    Args:
        name: the thing measured.
        measure: returns wall seconds.
        repeats: number of measurements.
    """
    found = [measure() for _ in range(repeats)]
    print(f"{name}: {', '.join(f'{seconds:.1f}' for seconds in found)} s", flush=True)
    return statistics.median(found)


def verdict(ratio: float, most: float) -> str:
    """Return a ratio in words beside its line."""
    return f"{ratio:.2f} (at most {most:g}: {'kept' if ratio <= most else 'MISSED'})"


def main() -> None:
    """Print what the parts measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["nodes", "tune"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for name, part in (("nodes", nodes_part), ("tune", tune_part)):
        if options.part in (None, name):
            part(options.repeats)


if __name__ == "__main__":
    main()
