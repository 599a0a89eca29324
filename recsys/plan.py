"""Command for the memory and time of a training: python -m recsys.plan --users N --items N ...

No data is needed: memory and seconds are estimated from sizes. The slopes of the seconds
were measured once; a quarter of a second tells the speed of this machine, which scales them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recsys.cli import command_parser, run_command
from recsys.config import TrainConfig
from recsys.errors import ConfigError
from recsys.messages import count

if TYPE_CHECKING:
    from recsys.capacity import Capacity
    from recsys.training import Sizes

GB = 1e9
# Users, items and interactions of the table in docs/capacity.md.
TYPICAL = (
    (200, 500, 5_000),
    (943, 1_682, 100_000),
    (6_000, 3_700, 1_000_000),
    (200_000, 50_000, 10_000_000),
    (1_000_000, 50_000, 50_000_000),
    (20_000_000, 1_000_000, 1_000_000_000),
)
TYPICAL_THREADS = 2


def main(argv: Sequence[str]) -> int:
    """Print what a training takes, and return the exit code.

    Raises:
        ConfigError: a size is not positive, or a hyperparameter out of its range.
    """
    commands = parser()
    args = commands.parse_args(argv)
    if args.table:
        print(typical_table())
        return 0
    given = {name: getattr(args, name) for name in ("users", "items", "interactions")}
    if missing := [f"--{name}" for name, value in given.items() if value is None]:
        commands.error(f"give {', '.join(missing)}, or --table")
    if wrong := [f"--{name} {value}: at least 1" for name, value in given.items() if value < 1]:
        raise ConfigError(wrong)
    config = TrainConfig().replace(dim=args.dim, batch_size=args.batch_size)
    from recsys.training import Sizes

    sizes = Sizes(args.users, args.items, args.interactions, not args.untimed)
    found = _capacity(sizes, config, args.device, args.threads or os.cpu_count() or 1, here=True)
    print(json.dumps(found.as_dict(), indent=2) if args.json else _text(found))
    return 0


def _capacity(
    sizes: Sizes, config: TrainConfig, device: str, threads: int, *, here: bool = False
) -> Capacity:
    """Return the needs on this machine's processor, or on the one of the slopes."""
    import torch

    from recsys.capacity import MEASURED_ON, Capacity, Processor

    processor = Processor.here() if here else MEASURED_ON
    return Capacity.of(sizes, config, torch.device(device), threads, processor)


def _text(found: Capacity) -> str:
    """Return all numbers as aligned lines."""
    from recsys.capacity import shown_seconds

    need, advice = found.need, found.advice
    place = "the machine" if found.device == "cpu" else "the GPU"
    memory = (
        ("data", found.read_bytes, "peak of the launcher while it reads and splits"),
        ("tables", need.tables, f"weights, their average and the best epoch, on {place}"),
        ("optimizer", need.optimizer, f"Adam's moments, on {place}"),
        ("batch", need.steps, "the largest step and the plans of the next"),
        ("evaluation", need.evaluation, "item vectors and a chunk of scores; instead of a batch"),
        ("worker", found.worker_bytes, "peak of a worker in the machine's memory"),
        ("serving", found.serve_bytes, "a server with the model and all histories"),
    )
    lines = [f"{name:12}{size / GB:10.2f} GB  {what}" for name, size, what in memory]
    lines.append(f"{'read':12}{shown_seconds(found.read_seconds):>10}     CPU time, once a study")
    if found.epoch_seconds is None or found.evaluation_seconds is None:
        lines.append("seconds     not known: no slope was measured on a GPU; make gpu-check does")
    else:
        threads = f"{count(found.threads, 'idle thread')}; more do not help"
        lines += [
            f"{'epoch':12}{shown_seconds(found.epoch_seconds):>10}     CPU time",
            f"{'evaluation':12}{shown_seconds(found.evaluation_seconds):>10}     CPU time",
            f"{'together':12}{shown_seconds(found.wall_seconds or 0):>10}     on {threads}",
        ]
    return "\n".join([*lines, f"{'needed':12}{advice.machine} ({advice.because})"])


def typical_table() -> str:
    """Return the table of docs/capacity.md: typical sizes at the default hyperparameters."""
    from recsys.capacity import shown_seconds
    from recsys.training import Sizes

    heads = ["interactions", "users", "items", "launcher", "worker", "serving", "read once, CPU"]
    heads += ["epoch + evaluation, CPU", "the same, idle threads", "needed"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for users, items, rows in TYPICAL:
        found = _capacity(Sizes(users, items, rows), TrainConfig(), "cpu", TYPICAL_THREADS)
        epoch, evaluation = found.epoch_seconds or 0, found.evaluation_seconds or 0
        cells = [
            *(f"{number:,}" for number in (rows, users, items)),
            *(
                f"{size / GB:.1f} GB"
                for size in (found.read_bytes, found.worker_bytes, found.serve_bytes)
            ),
            shown_seconds(found.read_seconds),
            f"{shown_seconds(epoch)} + {shown_seconds(evaluation)}",
            shown_seconds(found.wall_seconds or 0),
            found.advice.machine,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m recsys.plan`."""
    result = command_parser(
        "recsys.plan",
        "Say what a training takes before there is data: memory, seconds, the machine.",
        "--users 1000000 --items 50000 --interactions 50000000",
    )
    defaults = TrainConfig()
    for name in ("users", "items", "interactions"):
        result.add_argument(f"--{name}", type=int, metavar="N", help=f"number of {name}")
    for name in ("dim", "batch_size"):
        low, high = TrainConfig.bounds(name)
        result.add_argument(
            f"--{name.replace('_', '-')}",
            type=int,
            default=getattr(defaults, name),
            metavar="N",
            help=f"{low:,} to {high:,} (default: %(default)s)",
        )
    result.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="where it trains; no GPU needs to be here (default: %(default)s)",
    )
    result.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads that a worker may use (default: all of this machine)",
    )
    result.add_argument("--untimed", action="store_true", help="the data has no times")
    result.add_argument("--json", action="store_true", help="print bytes and seconds as JSON")
    result.add_argument(
        "--table", action="store_true", help="print typical sizes as a Markdown table"
    )
    return result


if __name__ == "__main__":
    run_command(main)
