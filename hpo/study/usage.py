"""What a trial took: CPU time and memory, of the process that trained and of the launcher.

Measured once, at the trial's end, and kept in the storage with its outcome, so that MLflow can be
rebuilt. Sampling in between would be a second record, and MLflow's own system metrics a second
writer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.training.epoch import EpochResult

MB = 1_000_000


def resource_usage(
    results: Sequence[EpochResult], wall_start: float, cpu_start: float
) -> dict[str, float]:
    """By name; {} for a trial without an epoch.

    evaluation_seconds: wall time of the evaluations in its epochs. cpu_seconds: of its epochs, all
    threads of the process that trained. peak_memory_mb,
    peak_gpu_memory_mb: millions of bytes, see `recsys.training.resources`; the latter only with
    a GPU.
    launcher_memory_mb: resident, now. launcher_cpu_percent: of one core, since the trial started,
    for all that runs at that time; in-process training counts as the launcher's.

    Args:
        wall_start, cpu_start: `time.monotonic` and `time.process_time` when the trial started.
    """
    import psutil

    if not results:
        return {}
    wall, cpu = time.monotonic() - wall_start, time.process_time() - cpu_start
    found = {
        "evaluation_seconds": sum(result.evaluation_seconds for result in results),
        "cpu_seconds": sum(result.cpu_seconds for result in results),
        "peak_memory_mb": max(result.memory_mb for result in results),
        "peak_gpu_memory_mb": max(result.gpu_memory_mb for result in results),
        "launcher_cpu_percent": 100 * cpu / wall if wall else 0.0,
        "launcher_memory_mb": psutil.Process().memory_info().rss / MB,
    }
    return {name: round(value, 3) for name, value in found.items() if value}


def of_training(used: Mapping[str, float]) -> dict[str, float]:
    """What the trial's own run shows."""
    return {name: value for name, value in used.items() if not name.startswith("launcher_")}


def of_system(used: Mapping[str, float], seconds: float) -> dict[str, float]:
    """What the study's run shows; the prefix puts it into MLflow's tab of system metrics.

    Args:
        seconds: wall time of the trial's epochs.
    """
    found = {name: value for name, value in used.items() if name.startswith("launcher_")}
    if seconds and "cpu_seconds" in used:
        found["worker_cpu_percent"] = 100 * used["cpu_seconds"] / seconds
    for name in ("memory_mb", "gpu_memory_mb"):
        if f"peak_{name}" in used:
            found[f"worker_{name}"] = used[f"peak_{name}"]
    return {f"system/{name}": value for name, value in found.items()}
