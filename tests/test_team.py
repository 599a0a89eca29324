"""The files for a team: valid, hardened, without a default password, and each command exists."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import compose_spec
import pytest
import yaml

from tests.support.paths import ROOT

FILE = ROOT / "docker-compose.team.yml"
TEXT = FILE.read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)([^}]*)\}")
ONCE = {"owner", "bucket"}  # they end before the others begin


def make_env() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_env", ROOT / "deploy/compose/make_env.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_compose_specification_accepts_both_files() -> None:
    for name in ("docker-compose.team.yml", "docker-compose.yml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        merged = yaml.safe_dump(yaml.safe_load(text), sort_keys=False)
        compose_spec.PyCompose.from_yaml(merged).validate()
    with pytest.raises(ValueError, match="health"):
        compose_spec.PyCompose.from_yaml("services: {a: {image: a, healthcheck: {tset: [CMD]}}}")


def test_what_depends_on_a_service_depends_on_one_that_is_there() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            once = how["condition"] == "service_completed_successfully"
            assert once == (other in ONCE), f"{name} waits for {other}"


def test_every_variable_is_one_that_compose_env_writes() -> None:
    module = make_env()
    used = {name for name, _ in VARIABLE.findall(TEXT)}
    assert used | {"COMPOSE_FILE"} == {*module.SETTINGS, *module.PASSWORDS}
    assert module.SETTINGS["COMPOSE_FILE"] == FILE.name


def test_no_password_has_a_default() -> None:
    for name, rest in VARIABLE.findall(TEXT):
        if name in make_env().PASSWORDS:
            assert rest == ":?run make compose-env", name
        else:
            assert rest == "", name
    secret = re.compile(r"^\s*\w*(?:PASSWORD|SECRET)\w*: (?!\$\{)", re.MULTILINE)
    assert not secret.search(TEXT)
    assert not re.search(r"://[^/\s]*:[^/\s]*@", TEXT), "a URL with a password"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert any(place.startswith("/tmp") for place in service["tmpfs"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0 and int(group) > 0
    tag = service["image"].partition(":")[2]
    assert re.search(r"\d", tag), f"{name}: {service['image']} names no version"
    assert ("build" in service) == service["image"].startswith("two-tower-hpo:")
    health = service["healthcheck"]
    assert health == {"disable": True} if name in ONCE else health["test"][0] == "CMD"


def test_the_proxy_alone_is_published() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    for published in SERVICES["proxy"]["ports"]:
        port = published.partition(":")[2]
        assert f"https://{{$TEAM_HOST}}:{port} {{" in caddyfile()


def caddyfile() -> str:
    return (ROOT / "deploy/compose/Caddyfile").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="the wheel of Caddy is for Linux")
def test_caddy_reads_its_file_and_nobody_passes_without_login() -> None:
    caddy = str(Path(sys.executable).parent / "caddy")
    hashed = subprocess.run(
        [caddy, "hash-password"], input="hush\n", capture_output=True, text=True, check=True
    )
    env = {**os.environ, "TEAM_HOST": "hpo.test", "TEAM_TLS": "internal"}
    env["TEAM_HASH"] = hashed.stdout.strip()
    command = [caddy, "adapt", "--validate", "--config", str(ROOT / "deploy/compose/Caddyfile")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for site in re.findall(r"^https://.*?^\}", caddyfile(), re.MULTILINE | re.DOTALL):
        assert "import login" in site or "mlflow:5000" in site  # MLflow has logins of its own
    assert "basic-auth" in SERVICES["mlflow"]["command"]


@pytest.mark.parametrize("name", ["dashboard", "serve", "launcher"])
def test_the_options_of_our_commands_exist(name: str) -> None:
    command = SERVICES[name]["command"]
    text = command if isinstance(command, str) else command[2].rpartition("exec ")[2]
    program, module, *options = shlex.split(text.replace("$$", "$").replace('"$N_TRIALS"', "5"))
    assert program == "hpo"
    importlib.import_module(f"hpo.{module}").parser().parse_args(options)
    assert "--allow-writes" not in options


def test_the_image_has_what_the_services_need() -> None:
    assert SERVICES["mlflow"]["build"]["args"] == {"EXTRAS": "[team]"}
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "/volumes/objects /volumes/proxy" in lines
    mounts = {mount.split(":")[1] for mount in SERVICES["owner"]["volumes"]}
    assert mounts == {"/data", "/volumes/objects", "/volumes/proxy"}
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_file(), source


def test_compose_env_writes_new_passwords_for_one_reader_once(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "deploy/compose/make_env.py")]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    path = tmp_path / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = dict(line.split("=", 1) for line in path.read_text().splitlines())
    drawn = [written[name] for name in make_env().PASSWORDS]
    assert len(set(drawn)) == len(drawn) and all(len(each) >= 32 for each in drawn)
    assert not any(each in first.stdout + first.stderr for each in drawn)
    before = path.read_bytes()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "was not changed" in again.stderr
    assert path.read_bytes() == before
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()
