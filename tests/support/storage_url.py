"""Address of a storage in a folder that does not exist yet."""

from __future__ import annotations

from pathlib import Path


def url(tmp_path: Path) -> str:
    return f"sqlite:///{(tmp_path / 'deep' / 'optuna.db').as_posix()}"
