"""What the recsys commands share: options, and how figures are printed. Imports nothing heavy."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from recsys.errors import ConfigError
from recsys.messages import count

if TYPE_CHECKING:
    import torch

    from recsys.data.interactions import Interactions
    from recsys.data.split import Split
    from recsys.evaluation.metrics import Metrics

DEVICES = ("cpu", "cuda", "mps", "xpu")  # torch has more; meta, for one, holds no numbers
DEFAULT_TRACKING_URI = "sqlite:///studies/mlflow.db"


def command_parser(module: str, description: str, example: str) -> argparse.ArgumentParser:
    """A parser for `python -m module` whose help ends with an example."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """--device."""
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda or cuda:N (default: cuda if there is one)"
    )


def device_from(args: argparse.Namespace) -> torch.device:
    """The device that --device names; "auto" is a GPU if there is one.

    Raises:
        ConfigError: there is no such device here.
    """
    name = _best_kind() if args.device == "auto" else args.device
    try:
        return usable_device(name)
    except ConfigError as error:
        raise ConfigError(f"--device {error}; try cpu") from None


def default_device() -> torch.device:
    """Return the device of what has no --device: a GPU if there is one.

    Raises:
        ConfigError: torch sees a GPU, but it does not work.
    """
    try:
        return usable_device(_best_kind())
    except ConfigError as error:
        raise ConfigError(
            f"device {error}; set CUDA_VISIBLE_DEVICES to -1 to go on with the CPU"
        ) from None


def _best_kind() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def usable_device(name: str) -> torch.device:
    """The device of that name, on which something was put to see whether it works.

    Raises:
        ConfigError: it does not, or nothing can be trained on such a device.
    """
    import torch

    if name.partition(":")[0] not in DEVICES:
        kinds = ", ".join(DEVICES)
        raise ConfigError(f"{name}: cannot be used here (models train on {kinds})")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"{name}: cannot be used here ({str(error).splitlines()[0]})") from None


def data_flags(args: argparse.Namespace) -> list[str]:
    """The data options as they were given, for the next command."""
    names = {"--user-col": "user_col", "--item-col": "item_col", "--time-col": "time_col"}
    given = ["--data", args.data]
    for flag, name in names.items():
        if (value := getattr(args, name)) is not None:
            given += [flag, value]
    if args.repeats != "drop":
        given += ["--repeats", args.repeats]
    for side in ("item", "user"):
        if columns := getattr(args, f"{side}_features"):
            given += [f"--{side}-features", ",".join(columns)]
    return [f'"{word}"' if " " in word else word for word in given]


def counts_line(split: Split) -> str:
    """How much data there is, and how it is split."""
    data, (train, validation, test) = split.interactions, split.counts
    return (
        f"{count(data.n_users, 'user')}, {count(data.n_items, 'item')}, {count(len(data), 'row')}: "
        f"{train:,} train, {validation:,} validation, {test:,} test ({split.method} split)"
    )


def sample_line(split: Split, value: float, metric: str = "recall@10") -> str:
    """How many users validation asks, and how well that tells the metric of all of them."""
    from recsys.evaluation.metrics import half_width

    asked, everybody = split.eval_users, split.n_validation_users
    return (
        f"{asked:,} of {count(everybody, 'user')} {'is' if asked == 1 else 'are'} asked, drawn "
        f"at random: {metric} {value:.4f} "
        f"+- {half_width(value, asked, everybody):.4f} (95% interval, at most)"
    )


def feature_lines(data: Interactions) -> list[str]:
    """What was made of the columns that were named, a line for each side that has some."""
    sides = (("item", data.item_features), ("user", data.user_features))
    return [
        f"{side}s       {features.describe()}" for side, features in sides if features is not None
    ]


def metrics_line(metrics: Metrics) -> str:
    """The figures that people compare."""
    return (
        f"recall@10 {metrics.recall_at_10:.4f}  ndcg@10 {metrics.ndcg_at_10:.4f}  "
        f"mrr {metrics.mrr:.4f}"
    )
