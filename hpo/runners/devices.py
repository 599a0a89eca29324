"""How many workers a study gets, and where each of them trains."""

from __future__ import annotations

import os

import torch

MAX_WORKERS = 8  # of one machine without GPUs, if nobody says otherwise


def worker_devices(device: str, workers: int | None, per_card: int) -> list[str]:
    """The torch device of each worker.

    Args:
        device: "cuda" stands for all cards of the machine, filled in turn.
        workers: None: `per_card` for each card; without cards one a core, at most MAX_WORKERS.
    """
    cards = torch.cuda.device_count() if device == "cuda" else 0
    locations = [f"cuda:{i}" for i in range(cards)] or [device]
    on_gpu = device.startswith("cuda")
    usual = len(locations) * per_card if on_gpu else min(os.cpu_count() or 1, MAX_WORKERS)
    return [locations[i % len(locations)] for i in range(workers or usual)]
