"""The machine of a study: versions and hardware, which affect results, and what a trial took of it.

CPU time and memory are measured once, at the trial's end, and stored with its outcome, so MLflow
can be rebuilt from the storage. Sampling during the trial would need a second store, and MLflow's
own system metrics would be a second writer.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.training import EpochResult

MB = 1_000_000
PACKAGES = ("torch", "numpy", "optuna", "mlflow", "polars")


def environment_facts() -> dict[str, str]:
    """Return the versions of Python and packages, the commit and the machine, for the record."""
    found = {"python": platform.python_version(), "platform": platform.platform(), **_machine()}
    for package in PACKAGES:
        found[package] = metadata.version(package)
    if commit := _git_commit():
        found["git_commit"] = commit
    return found


def _machine() -> dict[str, str]:
    """Return processor, cores, memory and GPUs, as far as the system reports them."""
    import psutil
    import torch

    from hpo.runners import processor_of

    found = {
        "cpu": processor_of("cpu"),
        "cores": str(os.cpu_count() or ""),
        "memory_gb": f"{psutil.virtual_memory().total / 1e9:.0f}",
    }
    gpus = [processor_of(f"cuda:{i}") for i in range(torch.cuda.device_count())]
    return {**found, "gpu": ", ".join(gpus)} if gpus else found


def _git_commit() -> str | None:
    """Return the commit of the checkout with this code; None for an installed package."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def resource_usage(
    results: Sequence[EpochResult], wall_start: float, cpu_start: float
) -> dict[str, float]:
    """Return the time and memory that a trial took, by name; {} for a trial without an epoch.

    Names:
        evaluation_seconds: wall time of the evaluations in all epochs.
        cpu_seconds: CPU time of all epochs, over all threads of the process that trained.
        peak_memory_mb: millions of bytes, see `recsys.training.resources`.
        peak_gpu_memory_mb: the same on the GPU; absent without one.
        launcher_memory_mb: resident memory of this process now, in millions of bytes.
        launcher_cpu_percent: CPU time of this process since the trial started, in percent of one
            core, over all trials that ran; training inside this process is included.

    Args:
        results: the trial's epochs.
        wall_start: `time.monotonic()` when the trial started.
        cpu_start: `time.process_time()` when the trial started.
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


def training_metrics(used: Mapping[str, float]) -> dict[str, float]:
    """Return the values for the trial's own MLflow run."""
    return {name: value for name, value in used.items() if not name.startswith("launcher_")}


def system_metrics(used: Mapping[str, float], seconds: float) -> dict[str, float]:
    """Return the values for the study's MLflow run, under MLflow's prefix for system metrics.

    Args:
        used: values of `resource_usage`.
        seconds: wall time of the trial's epochs.
    """
    found = {name: value for name, value in used.items() if name.startswith("launcher_")}
    if seconds and "cpu_seconds" in used:
        found["worker_cpu_percent"] = 100 * used["cpu_seconds"] / seconds
    for name in ("memory_mb", "gpu_memory_mb"):
        if f"peak_{name}" in used:
            found[f"worker_{name}"] = used[f"peak_{name}"]
    return {f"system/{name}": value for name, value in found.items()}
