"""The containers' commands exist, and nothing is published beyond this machine."""

from __future__ import annotations

import ast
import importlib
import shlex
from typing import Any

import pytest
import yaml

from hpo.dashboards.servers import HOSTS_VARIABLE
from tests.support.paths import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def command(name: str) -> list[str]:
    given = SERVICES[name]["command"]
    return given if isinstance(given, list) else shlex.split(given)


def test_the_services() -> None:
    assert set(SERVICES) == {"prepare", "hpo", "optuna-dashboard", "mlflow"}
    for service in SERVICES.values():
        assert service["volumes"] == ["data:/data"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", ["hpo", "optuna-dashboard"])
def test_the_options_exist(name: str) -> None:
    python, _, module, *options = command(name)
    assert python == "python"
    parsed = importlib.import_module(module).parser().parse_args(options)
    assert parsed.storage == "sqlite:////data/optuna.db"


def test_mlflow_answers_under_the_name_of_its_service() -> None:
    options = command("mlflow")
    hosts = options[options.index("--allowed-hosts") + 1].split(",")
    assert {"mlflow:5000", "127.0.0.1:5000", "localhost:5000"} <= set(hosts)
    assert "sqlite:////data/mlflow.db" in options


def test_mlflow_stands_behind_the_guard() -> None:
    options = command("mlflow")
    *_, protocol = options[options.index("--uvicorn-opts") + 1].split()
    module, _, name = protocol.partition(":")
    assert hasattr(importlib.import_module(module), name)
    hosts = SERVICES["mlflow"]["environment"][HOSTS_VARIABLE].split(",")
    assert {"mlflow", "127.0.0.1", "localhost"} == set(hosts)


def test_the_preparation_imports_what_there_is() -> None:
    tree = ast.parse(command("prepare")[2])
    found = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert found
    for node in found:
        module = importlib.import_module(node.module or "")
        assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_image_runs_as_a_user_and_holds_what_it_copies() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER app" in lines
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert any(rule.startswith(f"!{source}") for rule in ignored), source
