"""The number of workers of a study and the device of each."""

from __future__ import annotations

import os
from typing import Literal

import torch

MAX_WORKERS = 8  # default limit on a machine without GPUs


def worker_devices(device: str, workers: int | None, per_card: int | Literal["auto"]) -> list[str]:
    """Return the torch device of each worker.

    Args:
        device: torch device name; "cuda" stands for all cards of the machine, assigned in turn.
        workers: number of workers; None: `per_card` for each card, or on CPUs one per core, at most
            MAX_WORKERS.
        per_card: workers of each card if `workers` is None; "auto" is one until the data is known.
    """
    cards = torch.cuda.device_count() if device == "cuda" else 0
    locations = [f"cuda:{i}" for i in range(cards)] or [device]
    slots = 1 if per_card == "auto" else per_card
    on_cpu = torch.device(device).type == "cpu"
    usual = min(os.cpu_count() or 1, MAX_WORKERS) if on_cpu else len(locations) * slots
    return [locations[i % len(locations)] for i in range(workers or usual)]
