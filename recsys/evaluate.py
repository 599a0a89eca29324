"""Command that scores a stored model: python -m recsys.evaluate --artifacts DIR --data D

It repeats the scores on validation; they equal those of the training that wrote the model.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys.cli import (
    add_data_arguments,
    add_device_argument,
    command_parser,
    dataset_from,
    device_from,
    run_command,
)
from recsys.errors import CheckpointError, DataError, naming
from recsys.messages import count


def main(argv: Sequence[str]) -> int:
    """Score a stored model on validation and print the metrics; return the exit code.

    Raises:
        CheckpointError: the model cannot be read, or was trained on more than train.
        DataError: the data cannot be used, or is not the data of the model.
    """
    args = parser().parse_args(argv)

    from recsys.artifacts import load
    from recsys.data import split
    from recsys.evaluation import Evaluator, TowerScorer, cold_lines, shown_cutoffs
    from recsys.models import Popularity

    device = device_from(args)
    stored = load(args.artifacts, device)
    if stored.meta.get("trained_on") != "train":
        raise CheckpointError(
            f"{args.artifacts}: was not trained on train alone, so validation says nothing about "
            "it; its own test figures are in model_meta.json"
        )
    how = dict(stored.meta["split"])
    fingerprint = how.pop("fingerprint")
    trained = stored.meta["data"]
    _settle_data(args, stored.meta)
    dataset = dataset_from(args)
    with naming(args.data):
        parts = split(dataset.interactions, **how, given=dataset.parts)
    if parts.fingerprint != fingerprint:
        raise DataError(
            f"{args.data}: not the data of {args.artifacts}, which was trained on "
            f"{trained['name']} (fingerprint {trained['fingerprint']}, here "
            f"{parts.interactions.fingerprint}); give --data and its options as in training"
        )
    evaluator = Evaluator(parts.tuning, device, shown=shown_cutoffs())
    found = evaluator.evaluate(TowerScorer(stored.model, stored.history)).mean()
    popular = evaluator.evaluate(Popularity(parts.train, device)).mean()
    print(f"validation of {args.artifacts} on {dataset.name}, {count(found.n_users, 'user')}")
    for name, value in found.as_dict().items():
        print(f"  {name:14} {value:.6f}   popularity {popular.as_dict()[name]:.6f}")
    for line in cold_lines(stored.model, parts.tuning, device):
        print(line)
    return 0


def _settle_data(args: argparse.Namespace, meta: Mapping[str, Any]) -> None:
    """Fill in missing data options from the model's metadata; no data is fetched.

    Raises:
        DataError: --data is missing and the model's data has no known name, or --data names
            another data set than the model's.
    """
    from recsys.datasets import NAMES

    name = meta["data"]["name"]
    if args.data is None and name not in NAMES:
        raise DataError(
            f"{args.artifacts}: was trained on {name}; say where that is with --data, with the "
            "same options as in training"
        )
    if args.data in NAMES and args.data != name:
        raise DataError(
            f"--data {args.data}: not the data of {args.artifacts}, which was trained on {name}; "
            "give --data and its options as in training"
        )
    args.data = args.data or name
    args.repeats = args.repeats or meta.get("repeats", "drop")


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m recsys.evaluate`."""
    result = command_parser(
        "recsys.evaluate",
        "Score a stored model on the validation part of its data.",
        "--artifacts artifacts --data ml-100k",
    )
    add_data_arguments(result, source=None, where="the model's, if it has a name")
    result.add_argument(
        "--artifacts",
        type=Path,
        default=Path("artifacts"),
        metavar="DIR",
        help="folder that recsys.train wrote (default: %(default)s)",
    )
    add_device_argument(result)
    return result


if __name__ == "__main__":
    run_command(main)
