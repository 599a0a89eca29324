"""Parsers, devices and printed lines that the commands of recsys share; no heavy imports."""

from __future__ import annotations

import argparse
import difflib
import shlex
from typing import TYPE_CHECKING, NoReturn

from recsys.cli.arguments import DATA_SETTINGS
from recsys.errors import ConfigError
from recsys.invocation import command_text
from recsys.messages import count

if TYPE_CHECKING:
    import torch

    from recsys.data import Interactions, Split
    from recsys.evaluation import Metrics

DEVICES = ("cpu", "cuda", "mps", "xpu")  # torch knows more, such as meta, which holds no numbers
DEFAULT_TRACKING_URI = "sqlite:///studies/mlflow.db"


class _CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the option that was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Print the message on stderr without the usage, and exit with code 2."""
        unknown = message.removeprefix("unrecognized arguments: ")
        hint = ""
        if unknown != message:
            near = difflib.get_close_matches(unknown.split()[0], self._option_string_actions, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
        self.exit(2, f"{self.prog}: error: {message}{hint}; {self.prog} --help shows all options\n")


def command_parser(module: str, description: str, example: str) -> argparse.ArgumentParser:
    """Return a parser of a command whose help ends with an example.

    Usage and example begin as the command was called, for instance `hpo run`.

    Args:
        module: dotted name of the command's module.
        description: first paragraph of the help.
        example: options and arguments of a sample call.
    """
    program = command_text(module)
    return _CommandParser(
        prog=program,
        description=description,
        epilog=f"example:\n  {program} {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda or cuda:N (default: cuda if there is one)"
    )


def device_from(args: argparse.Namespace) -> torch.device:
    """Return the device that --device names; "auto" is a GPU if there is one.

    Raises:
        ConfigError: there is no such device here, or it does not work.
    """
    name = _best_kind() if args.device == "auto" else args.device
    try:
        return usable_device(name)
    except ConfigError as error:
        raise ConfigError(f"--device {error}; try cpu") from None


def default_device() -> torch.device:
    """Return the device of commands without --device: a GPU if there is one.

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
    """Return "cuda" if torch sees a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def usable_device(name: str) -> torch.device:
    """Return the device of that name after allocating a tensor on it as a test.

    Raises:
        ConfigError: the device does not work, or no model can be trained on its kind.
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
    """Return the data options as they were given, to be printed in the next command."""
    given = ["--data", args.data]
    for name in DATA_SETTINGS:
        value = getattr(args, name)
        flag = f"--{name.replace('_', '-')}"
        if name == "header" and value is False:
            given.append("--no-header")
        elif isinstance(value, dict):
            given += [
                flag,
                ",".join(f"{word}={number_text(weight)}" for word, weight in value.items()),
            ]
        elif isinstance(value, tuple):
            given += [flag, ",".join(value)]
        elif value is not None:
            given += [flag, number_text(value) if isinstance(value, float) else str(value)]
    return [shlex.quote(word) for word in given]


def number_text(value: float) -> str:
    """Return a number as it would be typed, in as many digits as it needs."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def counts_line(split: Split) -> str:
    """Return the line with the size of the data and of its parts."""
    data, (train, validation, test) = split.interactions, split.counts
    return (
        f"{count(data.n_users, 'user')}, {count(data.n_items, 'item')}, {count(len(data), 'row')}: "
        f"{train:,} train, {validation:,} validation, {test:,} test ({split.method} split)"
    )


def sample_line(split: Split, value: float, metric: str = "recall@10") -> str:
    """Return the line that says how far the metric of sampled users may be off.

    Args:
        split: a split whose validation uses a sample of the users.
        value: the metric's mean over the sampled users, in [0, 1].
        metric: name of the metric in the line.
    """
    from recsys.evaluation import half_width

    asked, everybody = split.eval_users, split.n_validation_users
    return (
        f"{asked:,} of {count(everybody, 'user')} {'is' if asked == 1 else 'are'} asked, drawn "
        f"at random: {metric} {value:.4f} "
        f"+- {half_width(value, asked, everybody):.4f} (95% interval, at most)"
    )


def feature_lines(data: Interactions) -> list[str]:
    """Return a line on the features of items and of users; a side without features has none."""
    sides = (("item", data.item_features), ("user", data.user_features))
    return [
        f"{side}s       {features.describe()}" for side, features in sides if features is not None
    ]


def metrics_line(metrics: Metrics) -> str:
    """Return recall@10, ndcg@10 and mrr as one line."""
    return (
        f"recall@10 {metrics.recall_at_10:.4f}  ndcg@10 {metrics.ndcg_at_10:.4f}  "
        f"mrr {metrics.mrr:.4f}"
    )
