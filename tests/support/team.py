"""The services of docker-compose.team.yml as processes of this machine, by their own commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.support.mlflow_server import eventually, free_port
from tests.support.paths import ROOT

FILE = ROOT / "docker-compose.team.yml"
MARK = "HPO_TEST_TEAM"  # in the environment of every process, so that each can be found again
HOSTS = re.compile(r"\b(?:postgres|object-store|mlflow|dashboard|serve|ray-head)(?=:\d)")
FAILURES = 8  # of a service, after which it is broken
CHECK_SECONDS = 2.0  # between health checks, each of which is a process
PORTS = ("9000", "5000", "8080", "8000", "6379", "8443", "8444", "8445", "8081")


class Team:
    """Services by name; hosts are this machine, ports are free ones, and folders lie in one.

    Args:
        folder: for all files.
        values: what .env has.
        postgres_port: port of the database.
    """

    def __init__(self, folder: Path, values: dict[str, str], postgres_port: int) -> None:
        self.folder, self.values = folder, values
        self.ports = {port: str(free_port()) for port in PORTS} | {"5432": str(postgres_port)}
        self.data = folder / "data"
        self.data.mkdir()
        self._services: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))[
            "services"
        ]
        self._mark = uuid.uuid4().hex
        self._failures: dict[str, int] = {}
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("mlflow-auth.ini", "Caddyfile"):
            text = (ROOT / "deploy/compose" / name).read_text(encoding="utf-8")
            (folder / name).write_text(self.here(text), encoding="utf-8")

    def here(self, text: str) -> str:
        """Return a text of the file with what is different on this machine."""
        text = re.sub(r"(?<!\$)\$\{(\w+)[^}]*\}", lambda match: self.values[match[1]], text)
        text = HOSTS.sub("127.0.0.1", text.replace("$$", "$"))
        text = text.replace("/etc/mlflow/auth.ini", str(self.folder / "mlflow-auth.ini"))
        text = text.replace("/etc/caddy/Caddyfile", str(self.folder / "Caddyfile"))
        text = re.sub(r"^/(?:data|volumes)", str(self.data), text)
        return re.sub(r"\b\d{4}\b", lambda match: self.ports.get(match[0], match[0]), text)

    def environment(self, name: str) -> dict[str, str]:
        given = self._services[name].get("environment", {})
        env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        env |= {"PYTHONPATH": str(ROOT), MARK: self._mark, "COLUMNS": "200"}
        return env | {key: self.here(str(value)) for key, value in given.items()}

    def command(self, name: str) -> list[str]:
        """Return the command of a service."""
        given = self._services[name]["command"]
        words = shlex.split(self.here(given)) if isinstance(given, str) else map(self.here, given)
        return [*words]

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a service; its output is a file."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._started[name] = subprocess.Popen(
                self.command(name),
                cwd=self.data,
                env=self.environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self._started[name]

    def up(self, name: str, seconds: float = 600) -> None:
        """Start a service, and wait until its health check passes."""
        self.start(name)

        def is_healthy() -> bool:
            self.restarted(name)
            return self.is_healthy(name)

        eventually(is_healthy, seconds, CHECK_SECONDS)

    def restarted(self, name: str) -> int | None:
        """Return a service's exit code, None while it runs; start one that failed again.

        Compose does so, too: on a busy machine Ray gives up after 30 seconds of starting.
        """
        code = self._started[name].poll()
        if code:
            self._failures[name] = self._failures.get(name, 0) + 1
            assert self._failures[name] <= FAILURES, f"{name} ends:\n{self.log(name)}"
            self.start(name)
            return None
        return code

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def is_healthy(self, name: str) -> bool:
        """Run a service's own health check."""
        _, program, *rest = map(self.here, self._services[name]["healthcheck"]["test"])
        if program == "wget":  # which is in the proxy's image
            with suppress(OSError), urllib.request.urlopen(rest[-1], timeout=5) as answer:
                return bool(answer.status == 200)
            return False
        return self.run(name, program, *rest).returncode == 0

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the environment of a service, as `docker compose exec` does."""
        return subprocess.run(
            command,
            cwd=self.data,
            env=self.environment(name),
            capture_output=True,
            text=True,
            check=False,
        )

    def processes(self) -> list[psutil.Process]:
        """Return all living processes of the services."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self._mark:
                    found.append(process)
        return found

    def down(self) -> None:
        """End all processes of the services."""
        for end in ("terminate", "kill"):
            mine = self.processes()
            for process in mine:
                with suppress(psutil.Error):
                    getattr(process, end)()
            psutil.wait_procs(mine, timeout=15)
        for started in self._started.values():
            started.wait(10)
