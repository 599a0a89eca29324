"""Trainings, evaluations and models on devices that this machine lacks, see `tests.support`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from recsys.artifacts import load, save
from recsys.artifacts.pair_scorer import PairScorer
from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout, split
from recsys.evaluation.cold_start import cold_lines
from recsys.evaluation.evaluator import (
    Evaluator,
    ExcludingScorer,
    TowerScorer,
    chunk_bytes_on,
)
from recsys.models import BASELINES
from recsys.models.scorer import Scorer
from recsys.retrieval.recommender import Recommender
from recsys.retrieval.requests import Question
from recsys.training.fit import Fit
from recsys.training.resources import (
    Sizes,
    forget_peaks,
    free_memory,
    memory_need,
    peak_gpu_mb,
    release_memory,
)
from tests.support.cuda_double import CudaDouble, cuda as cuda, mps as mps
from tests.support.examples import aisles, conveyor_split, random_log

CPU = torch.device("cpu")
SMALL = TrainConfig(dim=16, lr=0.03, epochs=2, batch_size=32, average=0.8, patience=30)
DATA: dict[str, Callable[[], Holdout]] = {
    "timed": lambda: conveyor_split().tuning,
    "untimed": lambda: split(random_log(np.random.default_rng(0), timed=False)).tuning,
    "features": lambda: split(aisles()).tuning,
}
CONFIGS = {
    "whole catalogue": SMALL,
    "drawn negatives": SMALL.replace(negatives=8),
    "users by row": SMALL.replace(user_weight=0.3, batch_size=3),
}


@pytest.fixture(params=["cuda", "mps"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """A device of a double."""
    request.getfixturevalue(request.param)
    return torch.device(request.param, 0)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_training_mixes_no_devices_and_gives_the_same_numbers(
    device: torch.device, name: str, config: TrainConfig
) -> None:
    data = DATA[name]()
    here, there = list(Fit(data, config, CPU)), list(Fit(data, config, device))
    assert [r.train_loss for r in here] == [r.train_loss for r in there]
    assert [r.metrics for r in here] == [r.metrics for r in there]


def test_an_epoch_waits_for_a_device_at_its_ends_alone(cuda: CudaDouble) -> None:
    fit = Fit(DATA["timed"](), SMALL.replace(batch_size=4, epochs=1), torch.device("cuda", 0))
    cuda.memory.copies = 0
    list(fit)
    # the losses of all steps; then ranks, scores asked for, best ranks, highest scores, lists
    assert cuda.memory.copies == 6


@pytest.mark.parametrize("name", DATA)
def test_all_that_asks_a_model_works_where_it_was_trained(
    device: torch.device, name: str, tmp_path: Path
) -> None:
    data = DATA[name]()
    models = {}
    for place in (CPU, device):
        fit = Fit(data, SMALL, place)
        list(fit)
        fit.save(tmp_path / "snapshot")
        again = Fit(data, SMALL, place)
        again.resume(tmp_path / "snapshot")
        models[place] = again.model
    told = {place: _told(model, data, place, tmp_path) for place, model in models.items()}
    assert told[device] == told[CPU]


def _told(model: Any, data: Holdout, place: torch.device, folder: Path) -> list[object]:
    """Return everything that is computed with a model on a device."""
    save(folder, model, data.seen, {})
    stored = load(folder, place)
    evaluator = Evaluator(data, place)
    unknown = torch.as_tensor(np.setdiff1d(np.arange(3), data.relevant.items), device=place)
    tower = TowerScorer(stored.model, data.seen)
    scorers: list[Scorer] = [tower, ExcludingScorer(tower, unknown)]
    scorers += [make(data.seen, place) for make in BASELINES.values()]
    found: list[object] = [evaluator.evaluate(scorer).mean() for scorer in scorers]
    found.append(Evaluator(data, place, shown=(10,)).evaluate(tower).shown)
    found.append(cold_lines(stored.model, data, place))
    pairs = torch.tensor([[0, 1], [2, 3]])
    found.append(PairScorer.of(stored.model, data.seen)(pairs).tolist())
    questions = [Question(user_id=data.seen.user_ids[0]), Question(history=data.seen.item_ids[:3])]
    found.append(Recommender(stored.model, data.seen).answer(questions))
    return found


def test_the_peak_of_a_gpu_is_that_of_this_training(cuda: CudaDouble) -> None:
    GPU = torch.device("cuda", 0)
    list(Fit(DATA["timed"](), SMALL.replace(dim=64), GPU))
    large = peak_gpu_mb(GPU)
    forget_peaks(GPU)
    results = list(Fit(DATA["timed"](), SMALL.replace(dim=4), GPU))
    assert 0 < results[-1].gpu_memory_mb == peak_gpu_mb(GPU) < large


def test_a_mac_reports_what_is_used_now(mps: CudaDouble) -> None:
    place = torch.device("mps", 0)
    forget_peaks(place)
    kept = torch.zeros(1000, device=place)
    assert peak_gpu_mb(place) == kept.numel() * 4 / 1e6


def test_a_gpu_that_is_full_says_so_and_is_free_again(cuda: CudaDouble) -> None:
    GPU = torch.device("cuda", 0)
    cuda.memory.capacity = 1_000_000
    with pytest.raises(torch.OutOfMemoryError):
        list(Fit(DATA["timed"](), SMALL.replace(dim=2048), GPU))
    release_memory(GPU)
    assert cuda.emptied == 1
    assert cuda.memory.used < 100  # the cached constant of a step
    list(Fit(DATA["timed"](), SMALL.replace(dim=4), GPU))


def test_a_double_refuses_what_a_device_refuses(cuda: CudaDouble) -> None:
    there = torch.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="same device, but found cuda:0 and cpu"):
        _ = there + torch.ones(3)
    with pytest.raises(TypeError, match="cuda:0 device type tensor to numpy"):
        np.from_dlpack(there)
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.zeros(1, device="cuda:7")
    assert (there * torch.tensor(2.0)).tolist() == [2, 2, 2]  # a scalar may come from the CPU


@cache
def kernels() -> dict[str, dict[str, Any]]:
    """Return torch's own table of its operations: name -> entry."""
    where = "torchgen/packaged/ATen/native/native_functions.yaml"
    path = metadata.distribution("torch").locate_file(where)
    entries = yaml.safe_load(Path(str(path)).read_text(encoding="utf-8"))
    return {entry["func"].partition("(")[0]: entry for entry in entries}


def has_kernel(operation: str, kind: str) -> bool:
    """Return True if torch computes an operation such as "aten.add.Tensor" on a kind of device."""
    entry = kernels()[operation.removeprefix("aten.").removesuffix(".default")]
    entry = kernels()[entry.get("structured_delegate") or entry["func"].partition("(")[0]]
    if "ufunc_inner_loop" in entry:  # made for both by torch's generator
        return kind in ("cuda", "mps")
    keys = [
        key for keys in entry.get("dispatch", {"Composite": ""}) for key in re.split(r",\s*", keys)
    ]
    return any(key.startswith("Composite") or key == kind.upper() for key in keys)


def test_torch_s_table_tells_what_a_device_lacks() -> None:
    assert has_kernel("aten.take.default", "cuda")
    assert not has_kernel("aten.take.default", "mps")


@pytest.mark.parametrize("name", DATA)
def test_torch_has_every_operation_of_a_training_on_the_device(
    request: pytest.FixtureRequest, name: str, device: torch.device
) -> None:
    double: CudaDouble = request.getfixturevalue(device.type)
    data = DATA[name]()
    for config in CONFIGS.values():
        fit = Fit(data, config.replace(epochs=1), device)
        list(fit)
        cold_lines(fit.model, data, device)
    used = double.memory.operations
    assert len(used) > 30
    assert [operation for operation in used if not has_kernel(operation, device.type)] == []


def shop(n_users: int, n_items: int, per_user: int, *, timed: bool) -> Interactions:
    rng = np.random.default_rng(0)
    return random_log(rng, n_users, n_items, n_users * per_user, timed=timed)


@pytest.mark.parametrize(
    ("log", "config"),
    [
        (shop(943, 1682, 40, timed=True), TrainConfig(dim=64)),
        (shop(900, 3000, 20, timed=False), TrainConfig(dim=128, user_weight=0.3)),
        (shop(400, 20_000, 15, timed=False), TrainConfig(dim=32)),  # drawn negatives
        (shop(400, 20_000, 15, timed=True), TrainConfig(dim=32, neighbour_weight=0)),
        (shop(3000, 300, 8, timed=True), TrainConfig(dim=16, batch_size=512)),
    ],
    ids=["ml-100k", "untimed", "drawn", "no neighbours", "many users"],
)
def test_the_memory_of_a_training_is_known_before_it_starts(
    cuda: CudaDouble, log: Interactions, config: TrainConfig
) -> None:
    data, GPU = split(log).tuning, torch.device("cuda", 0)
    need = memory_need(Sizes.of(data.seen), config, GPU)
    list(Fit(data, config.replace(epochs=2), GPU))
    assert 0.5 < cuda.memory.peak / need.total < 1.1
    assert f"{need.total / 1e9:.2f} GB (tables" in str(need)


def test_a_large_training_needs_what_can_be_reckoned(cuda: CudaDouble) -> None:
    """1M users, 1M items, dim 128: three item tables, thrice for weights and twice for Adam."""
    log = shop(1000, 1000, 10, timed=True)
    many = replace(log, item_ids=tuple(map(str, range(1_000_000))))
    need = memory_need(Sizes.of(many), TrainConfig(dim=128), torch.device("cuda", 0))
    assert need.optimizer == pytest.approx(2 * 3 * 1_000_000 * 128 * 4, rel=0.01)
    assert need.tables == pytest.approx(1.5 * need.optimizer, rel=0.2)
    assert 8e9 < need.total < 16e9


def test_an_evaluation_on_a_gpu_takes_few_chunks(cuda: CudaDouble) -> None:
    GPU = torch.device("cuda", 0)
    assert chunk_bytes_on(CPU) == 16 << 20
    assert chunk_bytes_on(GPU) == (16 << 30) // 128
    cuda.total = 1 << 30
    assert chunk_bytes_on(GPU) == 16 << 20
    cuda.total = 1 << 40
    assert chunk_bytes_on(GPU) == 1 << 30


def test_free_memory_is_that_of_a_gpu(cuda: CudaDouble) -> None:
    assert free_memory(CPU) is None
    kept = torch.ones(1000, device="cuda")
    assert free_memory(torch.device("cuda", 0)) == cuda.total - 4 * len(kept)
