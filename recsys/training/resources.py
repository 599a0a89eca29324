"""Memory peaks of a training, and the number of threads worth using."""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import psutil
import torch

from recsys.config import TrainConfig
from recsys.training.negatives import n_negatives

OF_THIS_PROCESS = Path("/proc/self")
MB = 1_000_000
KIB = 1024


def forget_peaks(device: torch.device) -> None:
    """Reset the memory peaks, so that they exclude earlier trainings.

    The peak of resident memory can be reset on Linux only.
    """
    with suppress(OSError):  # no Linux, or no such kernel option: the peak is since the start
        (OF_THIS_PROCESS / "clear_refs").write_text("5")
    if allocator := _allocator(device):
        allocator.reset_peak_memory_stats(device)


def peak_resident_mb() -> float:
    """Return the peak resident memory of this process, libraries included, in millions of bytes.

    Linux: since `forget_peaks`. Windows: since the process started. macOS, which reports no peak:
    the current value. `getrusage` is of no use: a new process inherits the peak of its parent.
    """
    with suppress(OSError):
        for line in (OF_THIS_PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB / MB
    info = psutil.Process().memory_info()
    return float(getattr(info, "peak_wset", info.rss)) / MB


def peak_gpu_mb(device: torch.device) -> float:
    """Return the peak GPU memory of tensors since `forget_peaks`, in millions of bytes; CPU: 0.

    Apple's GPUs report no peak: the current value.
    """
    if device.type == "mps":
        return torch.mps.current_allocated_memory() / MB
    allocator = _allocator(device)
    return allocator.max_memory_allocated(device) / MB if allocator else 0.0


def release_memory(device: torch.device) -> None:
    """Give a GPU's memory that no tensor uses back to other processes; on a CPU do nothing."""
    if device.type == "cpu":
        return
    gc.collect()  # what raised an error may hang in a cycle with its tensors
    if device.type == "mps":
        torch.mps.empty_cache()
    elif allocator := _allocator(device):
        allocator.empty_cache()


def _allocator(device: torch.device) -> ModuleType | None:
    """Return torch's module that counts the memory of a GPU; None if there is none yet.

    Before the first tensor on a GPU torch knows no devices: no peak exists, and a reset raises.
    """
    module = {"cuda": torch.cuda, "xpu": torch.xpu}.get(device.type)
    return module if module is not None and module.is_initialized() else None


FLOP_PER_THREAD = 50e6  # below, threads wait for each other longer than they work


def useful_threads(n_items: int, config: TrainConfig, available: int) -> int:
    """Return how many threads are worth using, in 1..available.

    The size of a step's largest product decides: users x dim x candidates. On ml-100k at dim 128
    (55 MFLOP) and a busy machine, two threads took five times the CPU time of one, because they
    spin while they wait for each other.

    Args:
        n_items: size of the catalogue.
        config: batch size, dim and negatives.
        available: threads that torch may use.
    """
    # The batch's targets are candidates as well; they are about as many as the drawn items.
    candidates = 2 * n_negatives(config, n_items) or n_items
    flop = 2 * config.batch_size * config.dim * candidates
    return max(1, min(available, int(flop / FLOP_PER_THREAD)))
