"""The speed of a processor scales the seconds that were measured on another one."""

from __future__ import annotations

import pytest
import torch

from recsys.capacity.needs import Capacity
from recsys.capacity.processor import Processor
from recsys.capacity.seconds import MEASURED_ON, Seconds
from recsys.config import TrainConfig
from recsys.training.resources import Sizes

SIZES = Sizes(20_000, 50_000, 1_000_000)


def times(factor: float, *names: str) -> Processor:
    """The processor of the slopes, but for some kinds of work."""
    return MEASURED_ON._replace(**{name: factor * getattr(MEASURED_ON, name) for name in names})


def test_the_speed_of_this_machine_is_timed_once_and_leaves_torch_as_it_was() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = Processor.here()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert found == Processor.here()
    assert all(nanoseconds > 0 for nanoseconds in found)
    assert found.flop < found.logit < found.call


def test_a_processor_that_is_slower_in_everything_takes_longer_for_everything() -> None:
    usual = Seconds.of(SIZES, TrainConfig())
    slow = Seconds.of(SIZES, TrainConfig(), times(3, *Processor._fields))
    for name in ("read", "epoch", "evaluation"):
        assert getattr(slow, name) == pytest.approx(3 * getattr(usual, name))


@pytest.mark.parametrize("name", Processor._fields)
def test_each_kind_of_work_counts(name: str) -> None:
    usual = Seconds.of(SIZES, TrainConfig())
    slow = Seconds.of(SIZES, TrainConfig(), times(3, name))
    assert usual.epoch < slow.epoch < 3 * usual.epoch


def test_a_gpu_needs_a_processor_for_reading_only() -> None:
    gpu = torch.device("cuda", 0)
    slow = Capacity.of(SIZES, TrainConfig(), gpu, processor=times(3, "number"))
    usual = Capacity.of(SIZES, TrainConfig(), gpu)
    assert slow.read_seconds == pytest.approx(3 * usual.read_seconds)
    assert slow.epoch_seconds is None
