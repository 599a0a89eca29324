"""Who trains where."""

from __future__ import annotations

import pytest
import torch

from hpo.runners.devices import MAX_WORKERS, worker_devices


@pytest.mark.parametrize(
    ("gpus", "device", "workers", "per_gpu", "expected"),
    [
        (0, "cpu", 3, 4, ["cpu"] * 3),
        (2, "cuda", None, 2, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        (2, "cuda", 3, 1, ["cuda:0", "cuda:1", "cuda:0"]),
        (2, "cuda:1", None, 2, ["cuda:1"] * 2),
        (0, "mps", None, 1, ["mps"]),
        (2, "cuda", None, "auto", ["cuda:0", "cuda:1"]),
    ],
)
def test_workers_are_spread_over_the_gpus(
    monkeypatch: pytest.MonkeyPatch, gpus: int, device: str, workers: int | None, per_gpu: int,
    expected: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert worker_devices(device, workers, per_gpu) == expected


def test_without_gpus_there_is_a_worker_a_core() -> None:
    assert 1 <= len(worker_devices("cpu", None, 1)) <= MAX_WORKERS
