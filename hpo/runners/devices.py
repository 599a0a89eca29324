"""The number of workers of a study, the device of each, and the processor behind a device.

With `device_slots = "auto"`, `hpo.search.gpu_memory` then decides how many workers share a GPU.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Literal

import torch

MAX_WORKERS = 8  # default limit on a machine without GPUs


def worker_devices(device: str, workers: int | None, per_gpu: int | Literal["auto"]) -> list[str]:
    """Return the torch device of each worker.

    Args:
        device: torch device name; "cuda" stands for all GPUs of the machine, assigned in turn.
        workers: number of workers; None: `per_gpu` for each GPU, or on CPUs one per core, at most
            MAX_WORKERS.
        per_gpu: workers of each GPU if `workers` is None; "auto" is one until the data is known.
    """
    gpus = torch.cuda.device_count() if device == "cuda" else 0
    locations = [f"cuda:{i}" for i in range(gpus)] or [device]
    slots = 1 if per_gpu == "auto" else per_gpu
    on_cpu = torch.device(device).type == "cpu"
    usual = min(os.cpu_count() or 1, MAX_WORKERS) if on_cpu else len(locations) * slots
    return [locations[i % len(locations)] for i in range(workers or usual)]


@cache
def processor_of(device: str) -> str:
    """Return the model name of the CPU or GPU behind a torch device of this machine.

    The same training gives the same numbers on the same model, and other numbers on another.
    """
    place = torch.device(device)
    if place.type == "cpu":
        return _processor()
    if place.type != "cuda":
        return place.type
    try:
        return torch.cuda.get_device_name(place)
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # the system lists the GPU, but torch cannot use it
        return f"unusable ({str(error).splitlines()[0]})"


def _processor() -> str:
    """Return the model name of the CPU."""
    cpuinfo = Path("/proc/cpuinfo")  # on Linux, platform.processor() returns nothing
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
