"""What decides a result beside config and data: versions, commit and machine, for the record."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "numpy", "optuna", "mlflow", "polars")


def environment_facts() -> dict[str, str]:
    """Versions of what decides a result, and the machine, for the record."""
    found = {"python": platform.python_version(), "platform": platform.platform(), **_machine()}
    for package in PACKAGES:
        found[package] = metadata.version(package)
    if commit := _git_commit():
        found["git_commit"] = commit
    return found


def _machine() -> dict[str, str]:
    """Processor, cores, memory and GPUs, as far as the system says."""
    import psutil
    import torch

    found = {
        "cpu": _processor(),
        "cores": str(os.cpu_count() or ""),
        "memory_gb": f"{psutil.virtual_memory().total / 1e9:.0f}",
    }
    cards = [processor_of(f"cuda:{i}") for i in range(torch.cuda.device_count())]
    return {**found, "gpu": ", ".join(cards)} if cards else found


@cache
def processor_of(device: str) -> str:
    """Return the kind of CPU or GPU that a torch device of this machine is.

    Two kinds give other numbers for the same training, two of a kind give the same ones.
    """
    import torch

    place = torch.device(device)
    if place.type == "cpu":
        return _processor()
    if place.type != "cuda":
        return place.type
    try:
        return torch.cuda.get_device_name(place)
    except (RuntimeError, AssertionError) as error:  # the system lists it, torch cannot use it
        return f"unusable ({str(error).splitlines()[0]})"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # of Linux, where platform.processor() says nothing
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """Of the checkout that this code runs from; None for an installed package."""
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
