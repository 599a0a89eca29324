"""The two web servers that show a study: optuna-dashboard in a thread, MLflow in a process."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from socketserver import ThreadingMixIn
from typing import Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import psutil

from hpo.dashboards.host_guard import EVERYWHERE, App
from hpo.errors import HpoError, SettingsError
from recsys.artifacts import artifact_root

READY_SECONDS = 120.0
STOP_SECONDS = 10.0
UVICORN_OPTIONS = (
    "--log-level warning --ws none --http hpo.dashboards.mlflow_protocol:GuardedProtocol"
)
HOSTS_VARIABLE = "HPO_MLFLOW_HOSTS"  # for hpo.dashboards.mlflow_protocol
REUSE_ADDRESS = os.name != "nt"  # on Windows it would let two servers share a port


class Server(Protocol):
    """A web server that answers at `address` until it is stopped.

    Attributes:
        address: URL without a path.
        health: path whose answer shows that the server is ready.
    """

    address: str
    health: str

    def problem(self) -> str | None:
        """Return why the server has ended; None while it runs."""

    def stop(self) -> None:
        """End the server, and wait for its end."""


def local_address(host: str, port: int) -> str:
    """Return the URL at which a program on this machine reaches a server.

    Args:
        host: the address that the server is bound to.
        port: its port.
    """
    return f"http://{'127.0.0.1' if host in EVERYWHERE else host}:{port}"


def wait_until_ready(server: Server, stopped: Callable[[float], bool]) -> bool:
    """Return True once the server answers; False if the caller gives up.

    Args:
        server: a started server.
        stopped: called with seconds to wait; True means to give up.

    Raises:
        HpoError: the server ended, or did not answer in time.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # $http_proxy set or not
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if problem := server.problem():
            raise HpoError(problem)
        try:
            with direct.open(server.address + server.health, timeout=5):
                return True
        except OSError:
            pass
        if stopped(0.2):
            return False
    raise HpoError(f"{server.address} does not answer after {READY_SECONDS:.0f} s")


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_address = REUSE_ADDRESS


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class DashboardServer:
    """optuna-dashboard as a WSGI application, served by threads of this process.

    Args:
        app: optuna-dashboard, behind its guard.
        host: address to bind to.
        port: port to bind to.
        option: option that an error message about the port names.

    Raises:
        SettingsError: the port is taken.
    """

    health = "/favicon.ico"

    def __init__(self, app: App, host: str, port: int, option: str) -> None:
        try:
            self._server = make_server(host, port, app, _ThreadingServer, _QuietHandler)
        except (OSError, OverflowError) as error:
            raise _port_error(host, port, option, error) from None
        self.address = local_address(host, self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def problem(self) -> str | None:
        """Return why the server has ended; None while it runs."""
        return None if self._thread.is_alive() else "optuna-dashboard has ended"

    def stop(self) -> None:
        """End the server, and wait for its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class MlflowServer:
    """`mlflow server` on a database, as a child process: one worker, no jobs, no telemetry.

    The server ends with this process, however this process ends.

    Args:
        tracking_uri: SQLAlchemy URL of the database.
        host: address to bind to.
        port: port to bind to.
        hosts: names under which the server answers.
        option: option that an error message about the port names.

    Raises:
        SettingsError: the port is taken.
    """

    health = "/health"

    def __init__(
        self, tracking_uri: str, host: str, port: int, hosts: Sequence[str], option: str
    ) -> None:
        port = _free_port(host, port, option)
        self.address = local_address(host, port)
        command = [
            sys.executable,
            "-m",
            "hpo.dashboards.supervised",
            "mlflow",
            "server",
            "--workers",
            "1",
        ]
        command += ["--host", host, "--port", str(port), "--uvicorn-opts", UVICORN_OPTIONS]
        # The guard of mlflow_protocol.py refuses foreign hosts and origins, whatever their ports.
        # MLflow compares with the port, though a tunnel or proxy may have another one; and by
        # itself it refuses the requests of its own page under a name that is not localhost.
        known = [pattern for name in hosts for pattern in _with_any_port(name)]
        origins = [f"{scheme}://{each}" for scheme in ("http", "https") for each in known]
        command += ["--allowed-hosts", ",".join(known), "--cors-allowed-origins", ",".join(origins)]
        env = {**_environment(tracking_uri), HOSTS_VARIABLE: ",".join(hosts)}
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE)

    def problem(self) -> str | None:
        """Return why the server has ended; None while it runs."""
        code = self._process.poll()
        return None if code is None else f"the MLflow server has ended with exit code {code}"

    def stop(self) -> None:
        """End the server with its children, which would outlive their parent on Windows."""
        try:
            root = psutil.Process(self._process.pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()


def _environment(tracking_uri: str) -> dict[str, str]:
    """Return the server's environment, which holds the database's URL.

    Everybody on the machine can read a command line, and the URL may hold a password.
    """
    mine = {
        "MLFLOW_BACKEND_STORE_URI": tracking_uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 7 more processes
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    if root := artifact_root(tracking_uri):
        mine["MLFLOW_ARTIFACTS_DESTINATION"] = root
    return {**os.environ, **mine}


def _with_any_port(name: str) -> tuple[str, str]:
    """Return a host's name as it is, and a pattern of fnmatch for it with any port."""
    return name, f"{name.replace('[', '[[]')}:*"


def _free_port(host: str, port: int, option: str) -> int:
    """Return the port, or a free one in the place of 0.

    Raises:
        SettingsError: the port is taken.
    """
    with closing(socket.socket()) as probe:
        if REUSE_ADDRESS:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return int(probe.getsockname()[1])
        except (OSError, OverflowError) as error:
            raise _port_error(host, port, option, error) from None


def _port_error(host: str, port: int, option: str, error: Exception) -> SettingsError:
    reason = getattr(error, "strerror", None) or error
    blamed = option if is_about_port(error) else "--host"
    return SettingsError(f"{host}:{port} cannot be used: {reason}; choose another with {blamed}")


def is_about_port(error: Exception) -> bool:
    """Return True if another port would help; otherwise the host's address is wrong."""
    number = getattr(error, "errno", None)
    return isinstance(error, OverflowError) or number in (errno.EADDRINUSE, errno.EACCES)
