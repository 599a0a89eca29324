"""A real MLflow store in SQLite for each test. Migrating one takes seconds, copying it nothing."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from recsys.artifacts.mlflow_client import open_client


@cache
def migrated_store() -> Path:
    """An empty, migrated database to copy; one for this process."""
    folder = tempfile.mkdtemp(prefix="mlflow-template-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "mlflow.db"
    open_client(f"sqlite:///{path.as_posix()}")
    return path


def fresh_store(folder: Path) -> str:
    """Tracking URI of an empty store in `folder`."""
    path = folder / "mlflow.db"
    shutil.copyfile(migrated_store(), path)
    return f"sqlite:///{path.as_posix()}"
