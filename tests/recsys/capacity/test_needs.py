"""What data of some size takes: the sizes of its steps, the machine, and where each step is due."""

from __future__ import annotations

import pytest
import torch

from recsys.capacity.needs import Capacity
from recsys.capacity.seconds import Seconds, shown_seconds
from recsys.config import TrainConfig
from recsys.training.negatives import NegativeSampler, n_negatives
from recsys.training.resources import Sizes, StepSizes
from recsys.training.step_plan import Planner
from recsys.training.windows import Windows
from tests.support.examples import conveyor_split

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
DEFAULT = TrainConfig()


def machine(users: int, items: int, rows: int, device: torch.device = CPU) -> str:
    return Capacity.of(Sizes(users, items, rows), DEFAULT, device).advice.machine


@pytest.mark.parametrize("negatives", [0, 5])
def test_the_average_step_has_the_sizes_of_the_real_ones(negatives: int) -> None:
    seen = conveyor_split().tuning.seen
    config = TrainConfig(batch_size=16, negatives=negatives)
    said = StepSizes.of(Sizes.of(seen), config)
    drawn = n_negatives(config, seen.n_items)
    sampler = NegativeSampler(seen, drawn) if drawn else None
    windows = Windows(seen, config)
    planner = Planner(windows, config, seen.n_items, sampler, None, mask=True, users_by_row=False)
    plans = list(planner.plans(torch.Generator().manual_seed(0)))
    history = sum(len(plan.order) for plan in plans) / len(plans)
    assert said.n_steps == len(plans)
    assert said.batch == len(plans[0].batch.users)
    assert said.history == pytest.approx(history, rel=0.3)


def test_the_smallest_machine_that_has_the_room_is_named() -> None:
    assert machine(943, 1_682, 100_000) == "laptop"
    assert machine(1_000_000, 50_000, 500_000_000) == "big machine"
    assert machine(200_000_000, 50_000_000, 20_000_000_000) == "cluster"


def test_gpus_are_counted_by_the_memory_of_a_training() -> None:
    assert machine(100_000, 100_000, 5_000_000, GPU) == "one GPU"
    assert machine(100_000, 20_000_000, 5_000_000, GPU) == "several GPUs"
    assert machine(100_000, 200_000_000, 5_000_000, GPU) == "cluster"


def test_a_slow_epoch_asks_for_a_gpu() -> None:
    found = Capacity.of(Sizes(100_000_000, 50_000, 4_000_000_000), DEFAULT, CPU)
    assert found.wall_seconds is not None
    assert found.wall_seconds > 3600
    assert found.advice.machine == "one GPU"
    assert "s an epoch on a CPU" in found.advice.because


def test_more_of_anything_takes_longer() -> None:
    base = Sizes(10_000, 5_000, 500_000)
    least = Seconds.of(base, DEFAULT).epoch
    assert Seconds.of(Sizes(20_000, 5_000, 1_000_000), DEFAULT).epoch == pytest.approx(
        2 * least, rel=0.1
    )
    assert Seconds.of(base, DEFAULT.replace(dim=512)).epoch > least
    assert Seconds.of(Sizes(10_000, 9_000, 500_000), DEFAULT).epoch > least


def test_one_line_says_it_all() -> None:
    text = str(Capacity.of(Sizes(943, 1_682, 100_000), DEFAULT, CPU, 1))
    assert text.endswith(" an epoch on 1 idle thread: laptop")
    assert "GB to read" in text
    gpu = str(Capacity.of(Sizes(943, 1_682, 100_000), DEFAULT, GPU))
    assert "GB on a GPU, seconds not known" in gpu


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.052, "0.052 s"), (7.31, "7.3 s"), (75, "75 s"), (150, "2.5 min"), (9000, "2.5 h")],
)
def test_seconds_have_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert shown_seconds(seconds) == text
