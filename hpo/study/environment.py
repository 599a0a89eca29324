"""The environment of a study: package versions, commit and machine, which affect results too."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

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
    cards = [processor_of(f"cuda:{i}") for i in range(torch.cuda.device_count())]
    return {**found, "gpu": ", ".join(cards)} if cards else found


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
