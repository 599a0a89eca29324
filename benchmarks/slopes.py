"""The slopes of recsys/capacity/seconds.py: CPU seconds of epochs and evaluations of many sizes.

    python -m benchmarks.slopes

Drawn logs with power-law items; each case trains three epochs on two threads and keeps the
median. The slopes are the non-negative least squares of relative errors over all cases, and each
case is printed beside what they predict. Copy the slopes and the processor's speed into seconds.py.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

os.environ["OMP_WAIT_POLICY"] = "passive"  # before torch: a thread that waits is no work

import numpy as np
import torch
from scipy.optimize import nnls

from recsys.capacity.processor import Processor
from recsys.capacity.seconds import EPOCH, Seconds, epoch_work
from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import split
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.training.resources import Sizes
from recsys.training.trainer import Trainer

THREADS = 2


class Case(NamedTuple):
    """Sizes of a drawn log, and what is not a default of the training."""

    users: int
    items: int
    per_user: int
    timed: bool
    dim: int
    batch_size: int


CASES = (
    Case(943, 1_682, 100, timed=True, dim=128, batch_size=128),
    Case(943, 1_682, 100, timed=True, dim=32, batch_size=128),
    Case(5_000, 8_000, 40, timed=True, dim=64, batch_size=128),
    Case(20_000, 50_000, 50, timed=True, dim=64, batch_size=128),
    Case(20_000, 50_000, 50, timed=True, dim=128, batch_size=128),
    Case(20_000, 50_000, 50, timed=True, dim=16, batch_size=128),
    Case(20_000, 50_000, 12, timed=True, dim=64, batch_size=128),
    Case(20_000, 50_000, 12, timed=True, dim=64, batch_size=512),
    Case(5_000, 200_000, 50, timed=True, dim=64, batch_size=128),
    Case(5_000, 50_000, 50, timed=False, dim=64, batch_size=128),
    Case(10_000, 20_000, 20, timed=False, dim=128, batch_size=256),
    Case(40_000, 1_000, 10, timed=True, dim=64, batch_size=128),
)


def log(case: Case) -> Interactions:
    """A log in order of time; items fall off like a power law, and repeats are dropped."""
    rng = np.random.default_rng(0)
    n = case.users * case.per_user
    return Interactions.from_codes(
        rng.integers(0, case.users, n),
        (case.items * rng.random(n) ** 3).astype(np.int32),
        np.arange(n) if case.timed else None,
        None,
        [str(user) for user in range(case.users)],
        [str(item) for item in range(case.items)],
    )


def cost(work: Callable[[], object], times: int = 1) -> float:
    """The median CPU seconds of some calls."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return statistics.median(found)


def measured(case: Case) -> tuple[tuple[float, ...], float, tuple[float, ...], float]:
    """Amounts and CPU seconds of an epoch, products and scores and seconds of its evaluation."""
    holdout = split(log(case)).tuning
    config = TrainConfig(dim=case.dim, batch_size=case.batch_size)
    trainer = Trainer(holdout.seen, config, torch.device("cpu"))
    epoch = cost(trainer.train_epoch, 3)
    evaluator = Evaluator(holdout, "cpu")
    evaluation = cost(lambda: evaluator.evaluate(TowerScorer(trainer.model, holdout.seen)))
    users = len(evaluator.users)
    scores = float(users * case.items)
    asked = (2 * scores * case.dim, scores, float(users))
    return epoch_work(Sizes.of(holdout.seen), config), epoch, asked, evaluation


def fitted(rows: list[tuple[float, ...]], seconds: list[float], flop: float) -> list[float]:
    """Slopes in nanoseconds of which no case is far off; the first one is given.

    Operations and logits grow together, so their slopes cannot be told apart by cases alone.
    """
    wanted, work = np.asarray(seconds), np.asarray(rows)
    rest = 1 - work[:, 0] * flop / 1e9 / wanted
    found, _ = nnls(work[:, 1:] / wanted[:, None], rest)
    return [flop, *(float(slope * 1e9) for slope in found)]


def lines() -> Iterator[str]:
    """Measure all cases; yield them, and then the slopes and the processor that they are of."""
    here = Processor.here()
    found = []
    for case in CASES:
        found.append(measured(case))
        yield f"{case}: epoch {found[-1][1]:.3f}, evaluation {found[-1][3]:.3f} CPU s"
    handled, epochs, scored, evaluations = (list(each) for each in zip(*found, strict=True))
    slopes = Processor(*fitted(handled, epochs, here.flop))
    asked = fitted(scored, evaluations, here.flop)
    yield f"MEASURED_ON = {shown(here)}"
    yield f"EPOCH = {shown(slopes)}; in use: {shown(EPOCH)}"
    yield f"PER_SCORE_FLOP, PER_SCORE, PER_ASKED = {', '.join(f'{slope:.4g}' for slope in asked)}"
    for case, (work, epoch, scores, evaluation) in zip(CASES, found, strict=True):
        fits = (np.dot(work, slopes) / 1e9 / epoch, np.dot(scores, asked) / 1e9 / evaluation)
        sizes = Sizes(case.users, case.items, case.users * case.per_user, case.timed)
        config = TrainConfig(dim=case.dim, batch_size=case.batch_size)
        plan = Seconds.of(sizes, config, here)
        yield (
            f"{case}: fitted epoch {fits[0]:.2f}, evaluation {fits[1]:.2f} of the measured; "
            f"in use {plan.epoch / epoch:.2f}, {plan.evaluation / evaluation:.2f}"
        )


def shown(processor: Processor) -> str:
    """Four digits of each number."""
    numbers = processor._asdict().items()
    return f"Processor({', '.join(f'{name}={number:.4g}' for name, number in numbers)})"


def main() -> None:
    """Print everything as it is measured."""
    torch.set_num_threads(THREADS)
    for line in lines():
        print(line, flush=True)


if __name__ == "__main__":
    main()
