"""What decides a result beside config and data: versions and the commit, for the record."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "numpy", "optuna", "mlflow", "polars")


def environment() -> dict[str, str]:
    """Versions of what decides a result, for the record."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        found[package] = metadata.version(package)
    if commit := _git_commit():
        found["git_commit"] = commit
    return found


def _git_commit() -> str | None:
    """Of the checkout that this code runs from; None for an installed package."""
    here = Path(__file__).resolve().parent.parent
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
