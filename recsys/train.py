"""Command that trains one model: python -m recsys.train --data ml-100k --artifacts artifacts

It learns from train, scores validation after every epoch and keeps the best epoch. It never uses
test.
"""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.cli import (
    DEFAULT_TRACKING_URI,
    add_data_arguments,
    add_device_argument,
    add_split_arguments,
    command_parser,
    counts_line,
    data_flags,
    dataset_from,
    device_from,
    feature_lines,
    metrics_line,
    run_command,
    sample_line,
)
from recsys.config import TrainConfig
from recsys.errors import naming
from recsys.invocation import command_text

if TYPE_CHECKING:
    from recsys.data import Split
    from recsys.models import TwoTower
    from recsys.training import EpochResult, Fit

EXPERIMENT = "two-tower-baseline"


def main(argv: Sequence[str]) -> int:
    """Train, store and, if asked to, log a model; return the exit code."""
    args = parser().parse_args(argv)
    config = TrainConfig.from_dict({name: getattr(args, name) for name in TrainConfig.names()})

    import torch

    from recsys.artifacts import make_folder
    from recsys.data import EVAL_USERS, split
    from recsys.evaluation import cold_lines
    from recsys.training import Fit, useful_threads

    make_folder(args.artifacts)
    device = device_from(args)
    tracker = _Tracker(args) if args.mlflow_tracking else None
    dataset = dataset_from(args)
    with naming(args.data):
        parts = split(
            dataset.interactions,
            args.split,
            eval_users=EVAL_USERS if args.eval_users is None else args.eval_users,
            given=dataset.parts,
        )
    print(f"data        {dataset.name}: {counts_line(parts)}")
    for line in feature_lines(parts.interactions):
        print(line)
    _print_popularity(parts)
    threads = useful_threads(dataset.interactions.n_items, config, torch.get_num_threads())
    torch.set_num_threads(threads)
    fit = Fit(parts.tuning, config, device)
    results, times_ms = _train(fit, config)
    model = fit.model
    _save(args.artifacts, fit, model, dataset.name, parts)
    for line in cold_lines(model, parts.tuning, device):
        print(line)
    if tracker is not None:
        tracker.log(model, config, results, times_ms, parts)
    again = " ".join(["--artifacts", shlex.quote(str(args.artifacts)), *data_flags(args)])
    print(f"next        {command_text('recsys.evaluate')} {again}")
    return 0


def _print_popularity(parts: Split) -> None:
    """Print the metrics of the popularity baseline on validation."""
    import torch

    from recsys.evaluation import Evaluator
    from recsys.models import Popularity

    cpu = torch.device("cpu")
    popular = Evaluator(parts.tuning, cpu).evaluate(Popularity(parts.train, cpu)).mean()
    print(f"popularity  {metrics_line(popular)}", flush=True)
    if parts.is_sampled:
        print(f"validation  {sample_line(parts, popular.recall_at_10)}", flush=True)


def _train(fit: Fit, config: TrainConfig) -> tuple[list[EpochResult], list[int]]:
    """Train all epochs, printing a line for each; return them and their ends in ms since 1970."""
    results, times_ms = [], []
    for result in fit:
        results.append(result)
        times_ms.append(time.time_ns() // 1_000_000)
        print(
            f"epoch {result.epoch:3}/{config.epochs}  loss {result.train_loss:.4f}  "
            f"{metrics_line(result.metrics)}  {result.seconds:.2f} s",
            flush=True,
        )
    return results, times_ms


def _save(folder: Path, fit: Fit, model: TwoTower, data_name: str, parts: Split) -> None:
    """Store the best epoch as a model in `folder`, and print its metrics."""
    from recsys.artifacts import origin, save

    assert fit.best is not None, "a training ended without an epoch"
    about = {
        **origin(data_name, parts),
        "trained_on": "train",
        "best_epoch": fit.best.epoch,
        "validation": fit.best.metrics.as_dict(),
    }
    save(folder, model, parts.train, about)
    print(f"best        epoch {fit.best.epoch}: {metrics_line(fit.best.metrics)}")
    if parts.is_sampled:
        print(f"            {sample_line(parts, fit.best.metrics.recall_at_10)}")
    print(f"written     {folder}", flush=True)


class _Tracker:
    """A client of MLflow, opened before the training so that a wrong address costs no training."""

    def __init__(self, args: argparse.Namespace) -> None:
        from recsys.artifacts import experiment_id, open_client

        given = args.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self._uri: str = given or DEFAULT_TRACKING_URI
        self._folder: Path = args.artifacts
        self._client = open_client(self._uri)
        self._experiment = experiment_id(self._client, args.experiment_name)

    def log(
        self,
        model: TwoTower,
        config: TrainConfig,
        results: Sequence[EpochResult],
        times_ms: Sequence[int],
        parts: Split,
    ) -> None:
        """Log the training to MLflow, and print the lines that load its model."""
        from recsys.artifacts import (
            PairScorer,
            Training,
            load_lines,
            log_training,
            tracking_errors,
        )
        from recsys.passwords import public_uri

        scorer = PairScorer.of(model, parts.train)
        training = Training(config, results, times_ms, self._folder, scorer)
        tags = {"hpo.kind": "baseline", "hpo.data_fingerprint": parts.interactions.fingerprint}
        with tracking_errors(self._uri):
            run_id = log_training(self._client, self._experiment, training, "baseline", tags)
        print(f"mlflow      run {run_id} at {public_uri(self._uri)}; in Python:")
        print("\n".join(load_lines(self._uri, run_id)))


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m recsys.train`."""
    result = command_parser(
        "recsys.train",
        "Train one two-tower model and store it.",
        "--data ml-100k --epochs 20 --dim 64 --mlflow-tracking",
    )
    add_data_arguments(result)
    result.add_argument(
        "--artifacts",
        type=Path,
        default=Path("artifacts"),
        metavar="DIR",
        help="where the model goes (default: %(default)s)",
    )
    add_split_arguments(result)
    add_device_argument(result)
    _add_tracking_arguments(result)
    _add_hyperparameters(result)
    return result


def _add_tracking_arguments(result: argparse.ArgumentParser) -> None:
    group = result.add_argument_group("tracking")
    group.add_argument("--mlflow-tracking", action="store_true", help="log the training to MLflow")
    group.add_argument(
        "--tracking-uri",
        metavar="URI",
        help=f"MLflow (default: $MLFLOW_TRACKING_URI, else {DEFAULT_TRACKING_URI})",
    )
    group.add_argument(
        "--experiment-name",
        metavar="NAME",
        default=EXPERIMENT,
        help="MLflow experiment (default: %(default)s)",
    )


def _add_hyperparameters(result: argparse.ArgumentParser) -> None:
    group = result.add_argument_group("hyperparameters")
    defaults = TrainConfig()
    for name in TrainConfig.names():
        low, high = TrainConfig.bounds(name)
        whole = TrainConfig.is_integer(name)
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if whole else float,
            default=getattr(defaults, name),
            metavar="N" if whole else "X",
            help=f"{low:,} to {high:,} (default: %(default)s)",
        )


if __name__ == "__main__":
    run_command(main)
