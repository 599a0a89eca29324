"""The team's services, each started by its own command line, and a study's way through them.

PostgreSQL is a wheel's, the object store is moto's, the proxy is Caddy itself.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import pytest
import sqlalchemy

from tests.support.commands import shop
from tests.support.mlflow_server import eventually
from tests.support.paths import ROOT
from tests.support.postgresql import postgresql_url
from tests.support.tcp_proxy import before_postgresql
from tests.support.team import CHECK_SECONDS, Team

__all__ = ["postgresql_url"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the wheel of Caddy is for Linux"),
]

USER = ("team", "TEAM_PASSWORD")


@pytest.fixture
def team(tmp_path: Path, postgresql_url: str) -> Iterator[Team]:
    """A team with its databases and its object store, and a shop as data."""
    made = [sys.executable, str(ROOT / "deploy/compose/make_env.py")]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    lines = (tmp_path / ".env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines)
    values |= {"DATA": str(shop(tmp_path)), "N_TRIALS": "3"}
    proxy, through = before_postgresql(postgresql_url)
    engine = sqlalchemy.create_engine(through, isolation_level="AUTOCOMMIT")
    script = (ROOT / "deploy/compose/databases.sql").read_text()
    statements = ["CREATE ROLE hpo LOGIN SUPERUSER", "CREATE DATABASE optuna", *script.split(";")]
    with engine.connect() as connection:
        for statement in statements:
            if statement.strip():
                connection.execute(sqlalchemy.text(statement))
    engine.dispose()
    found = Team(tmp_path, values, proxy.port)
    store = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--port", found.ports["9000"]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield found
    finally:
        found.down()
        store.terminate()
        store.wait(20)
        proxy.close()


def asked(url: str, body: object = None, login: tuple[str, str] | None = None) -> tuple[int, str]:
    """The status and the text of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    if login:
        word = base64.b64encode(":".join(login).encode()).decode()
        request.add_header("Authorization", f"Basic {word}")
    unchecked = ssl._create_unverified_context()  # Caddy's own authority is known to nobody here
    try:
        with urllib.request.urlopen(request, context=unchecked, timeout=60) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_study_goes_through_the_services(team: Team) -> None:
    bucket = team.command("bucket")
    eventually(lambda: team.run("bucket", *bucket).returncode == 0, pause_seconds=CHECK_SECONDS)
    assert team.run("bucket", *bucket).returncode == 0, "a second time"
    team.up("mlflow")
    team.up("ray-head")
    team.up("worker")
    passwords = [value for name, value in team.values.items() if "PASSWORD" in name]
    run_a_study(team, passwords)
    watch(team)
    promote_and_serve(team)
    through_the_proxy(team)
    for name in ("mlflow", "launcher", "dashboard", "serve", "proxy"):
        assert not any(word in team.log(name) for word in passwords), name


def has_certificate(url: str) -> bool:
    """Caddy is healthy a moment before its authority has signed its first certificate."""
    try:
        return asked(url)[0] == 401
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            return False
        raise


def run_a_study(team: Team, passwords: list[str]) -> None:
    team.start("launcher")
    eventually(
        lambda: team.restarted("launcher") is not None or team.is_healthy("launcher"),
        600,
        CHECK_SECONDS,
    )
    lines = [psutil.Process.cmdline(each) for each in team.processes() if each.is_running()]
    assert not any(word in " ".join(line) for line in lines for word in passwords)
    eventually(lambda: team.restarted("launcher") == 0, 600)
    assert "3 of 3 trials finished" in team.log("launcher")
    assert team.is_healthy("launcher")


def watch(team: Team) -> None:
    found = json.loads(team.run("launcher", "hpo", "status", "--json").stdout)
    assert found["n_finished"] == 3
    team.up("dashboard")
    address = f"http://127.0.0.1:{team.ports['8080']}"
    status, text = asked(f"{address}/api/studies")
    assert status == 200 and len(json.loads(text)["study_summaries"]) == 1
    assert asked(f"{address}/api/studies", {"study_name": "mine"})[0] == 405
    mlflow = f"http://127.0.0.1:{team.ports['5000']}/api/2.0/mlflow/experiments/search"
    assert asked(mlflow, {"max_results": 5})[0] == 401
    login = ("hpo", team.values["MLFLOW_PASSWORD"])
    assert "two-tower-hpo" in asked(mlflow, {"max_results": 5}, login)[1]


def promote_and_serve(team: Team) -> None:
    words = ("hpo", "promote", "--candidates", "1", "--seeds", "1", "--force", "the first")
    done = team.run("launcher", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    store = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{team.ports['9000']}",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
    )
    names = [each["Key"] for each in store.list_objects_v2(Bucket="artifacts")["Contents"]]
    assert any(name.endswith("weights.safetensors") for name in names)
    team.up("serve")
    address = f"http://127.0.0.1:{team.ports['8000']}"
    status, text = asked(f"{address}/recommend", {"history": [], "k": 3})
    assert status == 200 and len(json.loads(text)["items"]) == 3, text


def through_the_proxy(team: Team) -> None:
    team.up("proxy")
    login = (USER[0], team.values[USER[1]])
    studies = f"https://localhost:{team.ports['8443']}/api/studies"
    eventually(lambda: has_certificate(studies))
    assert asked(studies)[0] == 401
    assert asked(studies, login=("team", "guess"))[0] == 401
    assert asked(studies, login=login)[0] == 200
    served = f"https://localhost:{team.ports['8445']}/recommend"
    assert asked(served, {"history": [], "k": 3})[0] == 401
    assert asked(served, {"history": [], "k": 3}, login)[0] == 200
    mlflow = f"https://localhost:{team.ports['8444']}/api/2.0/mlflow/experiments/search"
    assert asked(mlflow, {"max_results": 5})[0] == 401
    assert asked(mlflow, {"max_results": 5}, ("hpo", team.values["MLFLOW_PASSWORD"]))[0] == 200
