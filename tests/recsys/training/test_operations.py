"""Operations of steps and evaluations: a device is told of few, and none makes the host wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import split
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.training.distillation import Teachers
from recsys.training.trainer import Trainer

CPU = torch.device("cpu")
# A device has to finish these before the host knows how large the result is, or what it says.
WAITING = ("nonzero", "_local_scalar_dense", "unique", "repeat_interleave.Tensor", "masked_select")


class Operations(TorchDispatchMode):
    """Counts the operations of torch by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))

    def waiting(self) -> dict[str, int]:
        """Return the counts of operations that wait for a device."""
        return {name: n for name, n in self.counts.items() if any(word in name for word in WAITING)}


def log(n_users: int, n_items: int, per_user: int, *, timed: bool) -> Interactions:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(n_users), per_user)
    items = (rng.random(len(users)) ** 2 * n_items).astype(int)
    times = np.arange(len(users)) * 1_000_000 if timed else None
    return Interactions.from_ids(users.tolist(), items.tolist(), times)


def test_waiting_operations_are_noticed() -> None:
    with Operations() as seen:
        torch.nonzero(torch.ones(3))
        torch.repeat_interleave(torch.tensor([1, 2]))
        float(torch.ones(()))
    assert len(seen.waiting()) == 3


@pytest.mark.parametrize("negatives", [0, 50])
def test_a_step_with_teachers_waits_for_no_operation(negatives: int) -> None:
    data, config = log(100, 200, 20, timed=True), TrainConfig(dim=8, negatives=negatives)
    teachers = Teachers([Trainer(data, config, CPU).model], data)
    trainer = Trainer(data, config, CPU, teachers)
    with Operations() as seen:
        trainer.train_epoch()
    assert seen.waiting() == {}


@pytest.mark.parametrize(
    ("data", "config", "most"),
    [
        (log(943, 1682, 40, timed=True), TrainConfig(dim=8), 60),  # as ml-100k: 8 steps
        (log(1100, 41_000, 20, timed=False), TrainConfig(dim=8), 90),  # drawn negatives
    ],
    ids=["whole catalogue", "drawn negatives"],
)
def test_a_step_takes_few_operations_and_waits_for_none(
    data: Interactions, config: TrainConfig, most: int
) -> None:
    trainer = Trainer(data, config, CPU)
    trainer.train_epoch()
    with Operations() as seen:
        trainer.train_epoch()
    steps = -(-data.n_users // config.batch_size)
    assert seen.waiting() == {}
    assert seen.counts["aten._fused_adam_.default"] == steps
    assert seen.counts.total() / steps <= most


@pytest.mark.parametrize("n_items", [1682, 41_000])
@pytest.mark.parametrize("timed", [True, False])
def test_an_evaluation_takes_few_operations_and_waits_for_none(n_items: int, timed: bool) -> None:
    holdout = split(log(943, n_items, 40, timed=timed)).tuning
    model = Trainer(holdout.seen, TrainConfig(dim=8), CPU).model
    evaluator = Evaluator(holdout, CPU, chunk_bytes=4 * n_items * len(holdout.seen.user_ids))
    with Operations() as seen:
        evaluator.evaluate(TowerScorer(model, holdout.seen))
    assert seen.waiting() == {}
    assert seen.counts["aten.topk.default"] == (1 if n_items < 2000 else 2)  # one chunk
    assert seen.counts.total() <= (60 if n_items < 2000 else 75)
