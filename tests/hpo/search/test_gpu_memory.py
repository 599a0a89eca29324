"""The memory that trainings need on a GPU, reckoned before the first begins."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hpo.config import StudyConfig
from hpo.errors import SettingsError
from hpo.search.gpu_memory import (
    CONTEXT,
    MAX_SLOTS,
    extremes,
    fitted_to_gpus,
    n_slots,
    say_capacity,
)
from recsys.capacity import Capacity, Processor
from recsys.training.resources import Sizes, memory_need
from tests.support.cuda_double import CudaDouble, cuda as cuda
from tests.support.examples import conveyor_split

SEEN = conveyor_split().tuning.seen
GPU = torch.device("cuda", 0)
SPACE = {
    "dim": {"low": 8, "high": 64},
    "batch_size": {"choices": [32, 512]},
    "negatives": {"choices": [0, 4], "when": {"dim": {"low": 32}}},
    "lr": {"low": 0.001, "high": 0.1},
}


def study(**values: Any) -> StudyConfig:
    return StudyConfig.model_validate({"space": SPACE, **values})


def fitted(config: StudyConfig, *devices: str) -> tuple[list[str], list[str]]:
    """The devices of the workers, and what was said."""
    said: list[str] = []
    found = fitted_to_gpus(config, list(devices), SEEN, said.append, shared=True)
    return list(found), said


def test_a_cpu_is_left_as_it_is() -> None:
    assert fitted(study(device_slots="auto"), "cpu", "cpu") == (["cpu", "cpu"], [])


def test_the_ends_of_a_space_bound_its_trainings(cuda: CudaDouble) -> None:
    config = study()
    least, most = extremes(config, SEEN, GPU)
    small = memory_need(Sizes.of(SEEN), config.train_config.replace(dim=8, batch_size=32), GPU)
    large = memory_need(Sizes.of(SEEN), config.train_config.replace(dim=64, batch_size=512), GPU)
    assert least.total <= small.total < large.total <= most.total


def test_need_and_memory_are_told(cuda: CudaDouble) -> None:
    devices, said = fitted(study(), "cuda:0")
    assert devices == ["cuda:0"]
    assert said[0].startswith("memory on cuda:0: 17.18 GB free; a training takes at most 0.00 GB (")
    assert len(said) == 1


def test_a_gpu_without_room_is_refused_with_the_numbers(cuda: CudaDouble) -> None:
    cuda.others = cuda.total - CONTEXT
    with pytest.raises(
        SettingsError, match="cuda:0: 0.60 GB are free, and even .*lower dim, batch"
    ):
        fitted(study(), "cuda:0")


def test_slots_follow_from_memory(cuda: CudaDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    cuda.n_gpus = 2
    auto = study(device_slots="auto")
    assert fitted(auto, "cuda:0", "cuda:1")[0] == ["cuda:0", "cuda:1"] * MAX_SLOTS
    cuda.others = cuda.total - 2 * CONTEXT - 40_000_000
    devices, said = fitted(auto, "cuda:0", "cuda:1")
    assert devices == ["cuda:0", "cuda:1"] * 2
    assert said[-1] == "device_slots auto: 2 workers on each GPU (memory for 2, at most 4)"
    given = study(device_slots="auto", workers=2)
    assert fitted(given, "cuda:0", "cuda:1")[0] == ["cuda:0", "cuda:1"]


def test_workers_that_may_not_fit_together_are_told(cuda: CudaDouble) -> None:
    cuda.others = cuda.total - 2 * CONTEXT
    _, said = fitted(study(), "cuda:0", "cuda:0", "cuda:0")
    assert said[-1].startswith(
        "3 workers on cuda:0 may need 1.80 GB: trials that run out of memory"
    )


def test_each_gpu_has_as_many_workers_as_it_has_memory_for(
    cuda: CudaDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    cuda.n_gpus = 2
    cuda.others_on = {1: cuda.total - 2 * CONTEXT - 40_000_000}
    devices, said = fitted(study(device_slots="auto"), "cuda:0", "cuda:1")
    assert devices == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0", "cuda:0"]
    assert said[1].startswith("memory on cuda:1: 1.24 GB free")
    assert said[2].startswith("device_slots auto: 4 workers on cuda:0 (memory for 2")
    assert said[3] == "device_slots auto: 2 workers on cuda:1 (memory for 2, at most 4)"


@pytest.mark.parametrize("full", [0, 1])
def test_a_gpu_without_room_is_left_out_if_another_has_some(cuda: CudaDouble, full: int) -> None:
    cuda.n_gpus = 2
    cuda.others_on = {full: cuda.total - CONTEXT}
    devices, said = fitted(study(workers=4), *["cuda:0", "cuda:1"] * 2)
    assert devices == [f"cuda:{1 - full}"] * 2
    assert said[-1].startswith(f"cuda:{full}: 0.60 GB are free, and even the smallest config")
    assert said[-1].endswith("no trial runs there")
    cuda.others = cuda.total - CONTEXT
    cuda.others_on = {}
    with pytest.raises(SettingsError, match="cuda:0: 0.60 GB are free, cuda:1: 0.60 GB are free"):
        fitted(study(), "cuda:0", "cuda:1")


@pytest.mark.parametrize(
    ("free_gb", "cores", "gpus", "slots"),
    [(80, 16, 1, 4), (80, 4, 2, 2), (6, 16, 1, 2), (1, 1, 1, 1)],
)
def test_a_slot_takes_memory_and_a_core(
    monkeypatch: pytest.MonkeyPatch, free_gb: int, cores: int, gpus: int, slots: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert n_slots(free_gb * 10**9, 2 * 10**9, gpus) == slots


def test_slots_are_a_number_or_auto() -> None:
    for wrong in (0, 65, "all", True):
        with pytest.raises(ValueError, match='whole number from 1 to 64, or "auto"'):
            StudyConfig.model_validate({"space": SPACE, "device_slots": wrong})


@pytest.mark.parametrize("name", ["cpu", "cuda:0"])
def test_the_plan_of_a_study_is_that_of_its_defaults(name: str) -> None:
    config, said = study(threads=3, base={"dim": 48}), list[str]()
    say_capacity(config, name, SEEN, said.append)
    device = torch.device(name)
    whole = config.train_config.replace(dim=48)
    assert said == [f"plan: {Capacity.of(Sizes.of(SEEN), whole, device, 3, Processor.here())}"]
    assert ("on a GPU" in said[0]) == (device.type == "cuda")
