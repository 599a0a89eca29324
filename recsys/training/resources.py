"""Memory of the process that trains, and of its GPU."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import torch

from recsys.config import TrainConfig
from recsys.training.negatives import n_negatives

OF_THIS_PROCESS = Path("/proc/self")
MB = 1_000_000
KIB = 1024


def forget_peaks(device: torch.device) -> None:
    """Let the peaks below begin anew: what an earlier training took is not this one's.

    Resident memory can be begun anew on Linux only.
    """
    with suppress(OSError):  # no Linux, or a kernel without it: the peak is since the start
        (OF_THIS_PROCESS / "clear_refs").write_text("5")
    # before the first tensor on a GPU torch knows no devices: there is no peak, and to ask raises
    if device.type == "cuda" and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats(device)


def peak_resident_mb() -> float:
    """The most resident memory of this process, in millions of bytes, with all its libraries.

    Linux: since `forget_peaks`. Windows: since the process started. macOS, which does not say:
    what it has now. `getrusage` is no help: a new process inherits the peak of the one that
    started it.
    """
    with suppress(OSError):
        for line in (OF_THIS_PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB / MB
    info = psutil.Process().memory_info()
    return float(getattr(info, "peak_wset", info.rss)) / MB


def peak_gpu_mb(device: torch.device) -> float:
    """The most that tensors took on the GPU since `forget_peaks`, in millions of bytes; CPU: 0."""
    return torch.cuda.max_memory_allocated(device) / MB if device.type == "cuda" else 0.0


FLOP_PER_THREAD = 50e6  # below, threads wait for each other longer than they work


def useful_threads(n_items: int, config: TrainConfig, available: int) -> int:
    """1..available, by the size of a step's largest product: users x dim x candidates.

    On ml-100k at dim 128 (55 MFLOP) and a busy machine, two threads took five times the CPU time
    of one: they spin for each other.
    """
    # Targets of the batch come on top of the drawn items; about as many again.
    candidates = 2 * n_negatives(config, n_items) or n_items
    flop = 2 * config.batch_size * config.dim * candidates
    return max(1, min(available, int(flop / FLOP_PER_THREAD)))
