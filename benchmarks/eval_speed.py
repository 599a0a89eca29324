"""How fast a full ranking is evaluated, beside the matrix product that it cannot do without.

    python -m benchmarks.eval_speed

20,000 users x 20,000 items, dim 64, about 50 seen and 10 relevant items a user, all seven metrics,
seen items masked, one thread. The product alone is timed in the same run, in the chunks of the
evaluation and in others; the fastest counts. All are CPU seconds, the medians of 5 rounds in which
they take turns.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout
from recsys.evaluation.evaluator import Evaluator

ROUNDS = 5
PRODUCT_ROWS = (50, 209, 1024)  # users of one product; 209 as in the evaluation


class Vectors:
    """Scores of given vectors: what a trained tower does, without the tower."""

    def __init__(self, users: Tensor, items: Tensor, bias: Tensor) -> None:
        self._users, self._items, self._bias = users, items.T.contiguous(), bias

    def scores(self, users: Tensor) -> Tensor:
        return torch.addmm(self._bias, self._users[users], self._items)


def holdout(n_users: int, n_items: int, seen: int, relevant: int) -> Holdout:
    """Distinct random items for every user, the first ones seen."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(n_users, dtype=np.int32), seen + relevant)
    items = np.concatenate(
        [rng.choice(n_items, seen + relevant, replace=False) for _ in range(n_users)]
    ).astype(np.int32)
    is_seen = np.tile(np.arange(seen + relevant) < seen, n_users)
    ids = [str(n) for n in range(max(n_users, n_items))]
    whole = Interactions(users, items, None, None, tuple(ids[:n_users]), tuple(ids[:n_items]))
    return Holdout(whole.take(is_seen), whole.take(~is_seen))


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def product(users: Tensor, items: Tensor, rows: int) -> None:
    """Every score once, `rows` users at a time, into the same memory."""
    room = torch.empty(rows, items.shape[1])
    for part in users.split(rows):
        torch.mm(part, items, out=room[: len(part)])


def main() -> None:
    """Print the table."""
    options = parser().parse_args()
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    users = torch.randn(options.users, options.dim, generator=draw)
    items = torch.randn(options.items, options.dim, generator=draw)
    scorer = Vectors(users, items, torch.zeros(options.items))
    evaluator = Evaluator(
        holdout(options.users, options.items, options.seen, options.relevant), torch.device("cpu")
    )
    across = items.T.contiguous()
    work: dict[str, Callable[[], object]] = {
        f"product, {rows} users at a time": lambda rows=rows: product(users, across, rows)
        for rows in PRODUCT_ROWS
    }
    work["evaluation"] = lambda: evaluator.evaluate(scorer)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for function in work.values():  # not counted: the first use of each allocates
        function()
    for _ in range(options.rounds):
        for name, function in work.items():
            seconds[name].append(cpu_seconds(function))
    print(
        f"{options.users:,} users x {options.items:,} items, dim {options.dim}; "
        f"{torch.get_num_threads()} thread; torch {torch.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}; median of {options.rounds}"
    )
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in middle.items():
        print(f"{name:32} {value:7.3f} CPU s   {options.users / value:10,.0f} users/CPU s")
    evaluation = seconds.pop("evaluation")
    fastest = min(seconds, key=lambda name: middle[name])
    ratio = statistics.median(
        alone / whole for alone, whole in zip(seconds[fastest], evaluation, strict=True)
    )
    print(f"ratio to the fastest product, median of the rounds: {ratio:.3f}")


def parser() -> argparse.ArgumentParser:
    """Sizes; the defaults are the case that we promise."""
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (
        ("users", 20_000), ("items", 20_000), ("dim", 64), ("seen", 50), ("relevant", 10),
        ("rounds", ROUNDS),
    ):  # fmt: skip
        result.add_argument(f"--{name}", type=int, default=default, metavar="N")
    return result


if __name__ == "__main__":
    main()
