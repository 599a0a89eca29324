"""What trainings need on a card, before the first begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.config import Locations, StudyConfig
from hpo.errors import SettingsError
from hpo.execution.card_memory import CONTEXT, MAX_SLOTS, extremes, fitted_to_cards, n_slots
from hpo.execution.request import Request
from recsys.training.resources import memory_need
from tests.support.cuda_double import CudaDouble, cuda as cuda
from tests.support.examples import conveyor_split

SEEN = conveyor_split().tuning.seen
CARD = torch.device("cuda", 0)
SPACE = {
    "dim": {"low": 8, "high": 64},
    "batch_size": {"choices": [32, 512]},
    "negatives": {"choices": [0, 4], "when": {"dim": {"low": 32}}},
    "lr": {"low": 0.001, "high": 0.1},
}


def request(devices: list[str], **values: Any) -> Request:
    config = StudyConfig.model_validate({"space": SPACE, **values})
    place = Locations.resolve(None, None)
    return Request(
        config, "study", place, "process", devices, tracking=False, report=False, promote=False
    )


def test_a_cpu_is_left_as_it_is(tmp_path: Path) -> None:
    asked, said = request(["cpu", "cpu"], device_slots="auto"), list[str]()
    assert fitted_to_cards(asked, SEEN, said.append) is asked
    assert said == []


def test_the_ends_of_a_space_bound_its_trainings(cuda: CudaDouble) -> None:
    config = request(["cuda:0"]).config
    least, most = extremes(config, SEEN, CARD)
    small = memory_need(SEEN, config.train_config.replace(dim=8, batch_size=32), CARD)
    large = memory_need(SEEN, config.train_config.replace(dim=64, batch_size=512), CARD)
    assert least.total <= small.total < large.total <= most.total
    assert str(most) in f"{most}: as it is told"


def test_need_and_memory_are_told(cuda: CudaDouble) -> None:
    said: list[str] = []
    asked = request(["cuda:0"])
    assert fitted_to_cards(asked, SEEN, said.append) == asked
    assert said[0].startswith("memory on cuda:0: 17.18 GB free; a training takes at most 0.00 GB (")
    assert len(said) == 1


def test_a_card_without_room_is_refused_with_the_numbers(cuda: CudaDouble) -> None:
    cuda.others = cuda.total - CONTEXT
    with pytest.raises(
        SettingsError, match="cuda:0: 0.60 GB are free, and even .*lower dim, batch"
    ):
        fitted_to_cards(request(["cuda:0"]), SEEN, lambda _: None)


def test_slots_follow_from_memory(cuda: CudaDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    cuda.n_cards = 2
    said: list[str] = []
    asked = request(["cuda:0", "cuda:1"], device_slots="auto")
    assert fitted_to_cards(asked, SEEN, said.append).devices == ["cuda:0", "cuda:1"] * MAX_SLOTS
    cuda.others = cuda.total - 2 * CONTEXT - 40_000_000
    found = fitted_to_cards(asked, SEEN, said.append)
    assert found.devices == ["cuda:0", "cuda:1"] * 2
    assert said[-1] == "device_slots auto: 2 workers on each GPU (memory for 2, at most 4)"
    given = replace(asked, config=asked.config.model_copy(update={"workers": 2}))
    assert fitted_to_cards(given, SEEN, said.append).devices == ["cuda:0", "cuda:1"]


def test_workers_that_may_not_fit_together_are_told(cuda: CudaDouble) -> None:
    cuda.others = cuda.total - 2 * CONTEXT
    said: list[str] = []
    fitted_to_cards(request(["cuda:0"] * 3), SEEN, said.append)
    assert said[-1].startswith("3 workers on a GPU may need 1.80 GB: trials that run out of memory")


@pytest.mark.parametrize(
    ("free_gb", "cores", "cards", "slots"),
    [(80, 16, 1, 4), (80, 4, 2, 2), (6, 16, 1, 2), (1, 1, 1, 1)],
)
def test_a_slot_takes_memory_and_a_core(
    monkeypatch: pytest.MonkeyPatch, free_gb: int, cores: int, cards: int, slots: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert n_slots(free_gb * 10**9, 2 * 10**9, cards) == slots


def test_slots_are_a_number_or_auto() -> None:
    for wrong in (0, 65, "all", True):
        with pytest.raises(ValueError, match='whole number from 1 to 64, or "auto"'):
            StudyConfig.model_validate({"space": SPACE, "device_slots": wrong})
