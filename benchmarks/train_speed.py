"""How fast training is: beside implicit's ALS, beside what the machine allows, and on a big shop.

    python benchmarks/train_speed.py

One thread; CPU seconds, so other load disturbs little. Three parts, `--part` runs one:

- epoch: an epoch of ml-100k at dim 128, its evaluation, and the floor: the time that the epoch's
  products and its tables' bytes take by themselves on this machine, measured in the same run.
- als: how long ours takes to the validation recall@10 of implicit's ALS, beside ALS's fit; its
  configuration is the one in `results/tuned.jsonl`.
- shop: an epoch of a generated untimed set, 30,000 users x 41,000 items x 800,000 rows, dim 64.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comparison.cases import CASES, load, source
from comparison.contestants import contestant, measure
from comparison.roster import PEERS
from comparison.store import Store

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import Split
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.models.two_tower import new_model
from recsys.training.negatives import NegativeSampler, n_negatives
from recsys.training.trainer import Trainer
from recsys.training.windows import Windows

CPU = torch.device("cpu")
RESULTS = Path(__file__).parent / "results"
EPOCH_LINE, RECALL_LINE, ALS_LINE, SHOP_LINE = 0.06, 0.184, 1 / 3, 8.0
ADAM_PASSES = 8  # reads of weight, gradient and two moments; writes of all but the gradient; zeros


@dataclass
class Work:
    """What one epoch cannot do without.

    Attributes:
        flop: of the three products of the softmax and of the pools.
        bytes: float32 of the tables that Adam walks through and of the logits, each pass once.
        shape: rows, columns and depth of a typical product.
        tables: float32 values that one step updates.
    """

    flop: float
    bytes: float
    shape: tuple[int, int, int]
    tables: int


def cpu_seconds(action: Callable[[], object]) -> float:
    begin = time.process_time()
    action()
    return time.process_time() - begin


def work(seen: Interactions, config: TrainConfig) -> Work:
    """Counted on the batches of one epoch."""
    generator = torch.Generator().manual_seed(config.seed)
    n_drawn = n_negatives(config, seen.n_items)
    sampler = NegativeSampler(seen, n_drawn) if n_drawn else None
    sizes = {name: t.shape for name, t in new_model(seen, config, CPU).named_parameters()}
    item_tables = sum(name != "users" for name, shape in sizes.items() if len(shape) == 2)
    flop, moved, columns, updated = 0.0, 0.0, [], []
    for batch in Windows(seen, config).batches(generator):
        history = len(batch.history_items)
        if sampler is None:
            c = seen.n_items
            rows = c * item_tables + min(seen.n_users, 16 * config.batch_size)
        else:
            c = len(sampler.draw(batch.target_items, generator).items)
            rows = c + len(np.unique(batch.history_items)) * (item_tables - 1) + len(batch.users)
        flop += 6 * len(batch.users) * c * config.dim + 8 * history * config.dim
        moved += 4 * (ADAM_PASSES * rows * config.dim + 6 * len(batch.users) * c)
        columns.append(c)
        updated.append(rows * config.dim)
    shape = config.batch_size, int(statistics.mean(columns)), config.dim
    return Work(flop, moved, shape, int(statistics.mean(updated)))


def matmul_rate(shape: tuple[int, int, int]) -> float:
    """FLOP/s of the softmax's three products alone: logits, and the gradients of both sides."""
    b, n, d = shape
    users, items, gradient = torch.randn(b, d), torch.randn(n, d), torch.randn(b, n)

    def three() -> None:
        for _ in range(20):
            torch.mm(users, items.T)
            torch.mm(gradient, items)
            torch.mm(gradient.T, users)

    three()
    return 20 * 6 * b * n * d / statistics.median(cpu_seconds(three) for _ in range(5))


def copy_rate(n: int) -> float:
    """Bytes/s of walking through four tables of a step's size together, read and written."""
    tables = [torch.zeros(n) for _ in range(4)]

    def walk() -> None:
        for table in tables:
            table.add_(1.0)

    walk()
    repeats = max(1, 20_000_000 // n)
    seconds = cpu_seconds(lambda: [walk() for _ in range(repeats)])
    return repeats * len(tables) * 2 * 4 * n / seconds


def print_floor(seen: Interactions, config: TrainConfig, epoch: float) -> None:
    needs = work(seen, config)
    flops, moving = matmul_rate(needs.shape), copy_rate(needs.tables)
    b, n, d = needs.shape
    floor = needs.flop / flops + needs.bytes / moving
    print(
        f"  floor: {needs.flop / 1e9:.2f} GFLOP at {flops / 1e9:.0f} GFLOP/s "
        f"({b} x {n} x {d}, float32) = {needs.flop / flops:.3f} s; "
        f"{needs.bytes / 1e9:.2f} GB at {moving / 1e9:.0f} GB/s = {needs.bytes / moving:.3f} s; "
        f"together {floor:.3f} s; the epoch takes {epoch / floor:.1f} times as much"
    )


def verdict(value: float, line: float, *, at_most: bool = True) -> str:
    kept = value <= line if at_most else value >= line
    word = "at most" if at_most else "at least"
    return f"({word} {line:.3g}: {'kept' if kept else 'MISSED'})"


def epoch_part(split: Split, epochs: int) -> None:
    config = TrainConfig(dim=128)
    trainer = Trainer(split.tuning.seen, config, CPU)
    evaluator = Evaluator(split.tuning, CPU)
    training, evaluation, recall = [], [], []
    for _ in range(epochs):
        training.append(cpu_seconds(trainer.train_epoch))
        begin = time.process_time()
        scorer = TowerScorer(trainer.model, split.tuning.seen)
        recall.append(evaluator.evaluate(scorer).mean().recall_at_10)
        evaluation.append(time.process_time() - begin)
    each, best = statistics.median(training), max(recall)
    print(f"ml-100k, dim 128, defaults, median of {epochs} epochs, CPU seconds:")
    print(f"  training {each:.4f} {verdict(each, EPOCH_LINE)}")
    print(f"  evaluation of all users, seven metrics: {statistics.median(evaluation):.3f}")
    print(
        f"  best validation recall@10 {best:.4f} at epoch {recall.index(best) + 1} "
        f"{verdict(best, RECALL_LINE, at_most=False)}"
    )
    print_floor(split.tuning.seen, config, each)


def time_to(split: Split, goal: float, seed: int) -> tuple[float, float, int]:
    """CPU seconds until validation recall@10 is there: with evaluations, without, and epochs."""
    begin = time.process_time()
    trainer = Trainer(split.tuning.seen, TrainConfig(dim=128, seed=seed), CPU)
    evaluator = Evaluator(split.tuning, CPU)
    training = time.process_time() - begin
    while trainer.epoch < 100:
        training += cpu_seconds(trainer.train_epoch)
        scorer = TowerScorer(trainer.model, split.tuning.seen)
        if evaluator.evaluate(scorer).mean().recall_at_10 >= goal:
            return time.process_time() - begin, training, trainer.epoch
    raise SystemExit(f"ours has not reached {goal:.4f} in {trainer.epoch} epochs")


def tuned_als(results: Path = RESULTS) -> dict[str, Any]:
    """The configuration that benchmarks/quality.py found for ml-100k."""
    tuned = Store(results, results).records("tuned").get(("ml-100k", "als"))
    if tuned is None:
        raise SystemExit(
            f"{results / 'tuned.jsonl'}: no als of ml-100k; tune it with "
            "python benchmarks/quality.py --data ml-100k --model als --no-test"
        )
    return dict(tuned["params"])


def als_part(split: Split, envs: Path, repeats: int) -> None:
    """ALS and ours in turns, so that both meet the same machine."""
    fits, goals, ours, params = [], [], [], tuned_als()
    with (
        tempfile.TemporaryDirectory() as folder,
        contestant(PEERS["als"], envs, Path(folder)) as als,
    ):
        als.train(split.tuning.seen, {**params, "iterations": 1}, 0)  # warm
        for seed in range(repeats):
            trained = als.train(split.tuning.seen, params, seed)
            fits.append(trained.cpu)
            goals.append(measure(trained, split.tuning).mean().recall_at_10)
            ours.append(time_to(split, max(goals), seed))
        versions = trained.versions
    fit = statistics.median(fits)
    whole, training, epochs = (statistics.median(column) for column in zip(*ours, strict=True))
    print(f"Time to the validation recall@10 of ALS, median of {repeats} seeds, CPU seconds:")
    print(f"  implicit {versions['implicit']} ALS {params}: {fit:.2f}, recall@10 {max(goals):.4f}")
    print(
        f"  ours, dim 128: {training:.2f} of training ({epochs:.0f} epochs), {whole:.2f} with an "
        f"evaluation after each"
    )
    print(
        f"  ratio {training / fit:.2f} {verdict(training / fit, ALS_LINE)}, with the evaluations "
        f"{whole / fit:.2f}"
    )


def shop(n_users: int, n_items: int, n_rows: int) -> Interactions:
    """Untimed: popularity falls as a power of the rank, users differ in how much they take."""
    rng = np.random.default_rng(0)
    activity = rng.lognormal(0.0, 1.0, n_users)
    users = rng.choice(n_users, int(n_rows * 1.25), p=activity / activity.sum())
    popularity = (np.arange(n_items) + 30.0) ** -0.9
    group = rng.integers(0, 20, n_users)[users]  # people of a group share a taste
    rank = rng.choice(n_items, len(users), p=popularity / popularity.sum())
    items = (rank + group * 1009 * (rng.random(len(users)) < 0.6)) % n_items
    pairs = rng.permutation(np.unique(users * n_items + items))[:n_rows]
    ids = [str(i) for i in range(n_users)], [str(i) for i in range(n_items)]
    return Interactions.from_codes(pairs // n_items, pairs % n_items, None, None, *ids)


def shop_part(epochs: int = 3) -> None:
    seen, config = shop(30_000, 41_000, 800_000), TrainConfig(dim=64)
    trainer = Trainer(seen, config, CPU)
    each = statistics.median(cpu_seconds(trainer.train_epoch) for _ in range(epochs))
    print(
        f"Generated, untimed, {seen.n_users:,} users x {seen.n_items:,} items x {len(seen):,} "
        f"rows, dim 64, median of {epochs} epochs: {each:.2f} CPU s {verdict(each, SHOP_LINE)}"
    )
    print_floor(seen, config, each)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path.home() / ".cache" / "two-tower-benchmarks"
    parser.add_argument("--part", choices=("epoch", "als", "shop"), help="default: all")
    parser.add_argument("--epochs", type=int, default=60, help="of part epoch")
    parser.add_argument("--repeats", type=int, default=3, help="of part als")
    parser.add_argument("--data-root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=home)
    parser.add_argument("--envs", type=Path, help="environments of peers (default: CACHE/envs)")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # for ALS; this process has only torch
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread")
    parts = [options.part] if options.part else ["epoch", "als", "shop"]
    if parts != ["shop"]:
        case = CASES["ml-100k"]
        split = load(case, source(case, options.data_root, options.cache))
    if "epoch" in parts:
        epoch_part(split, options.epochs)
    if "als" in parts:
        als_part(split, options.envs or options.cache / "envs", options.repeats)
    if "shop" in parts:
        shop_part()


if __name__ == "__main__":
    main()
