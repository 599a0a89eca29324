"""Dashboards for studies: optuna-dashboard and the MLflow UI on the same stores.

python -m hpo.dashboard
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hpo.arguments import (
    NEWEST,
    add_artifacts_argument,
    add_host_arguments,
    add_place_arguments,
    chosen_locations,
)
from hpo.config import DASHBOARD_PORT, MLFLOW_PORT
from recsys.cli import command_parser, run_command

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage

    from hpo.config import Locations
    from hpo.dashboards import Server


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.dashboard`."""
    result = command_parser(
        "hpo.dashboard",
        "Serve optuna-dashboard (read-only) and the MLflow UI until Ctrl-C.",
        "--port 8080 --mlflow-port 5000",
    )
    result.add_argument(
        "--port",
        type=int,
        default=DASHBOARD_PORT,
        help=f"port of optuna-dashboard (default: {DASHBOARD_PORT})",
    )
    result.add_argument(
        "--mlflow-port",
        type=int,
        default=MLFLOW_PORT,
        metavar="PORT",
        help=f"port of the MLflow UI (default: {MLFLOW_PORT})",
    )
    add_host_arguments(result)
    result.add_argument(
        "--allow-writes",
        action="store_true",
        help="allow everyone with access to optuna-dashboard to change and delete studies",
    )
    add_place_arguments(result, default=NEWEST)
    add_artifacts_argument(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM, the intended end, and return the exit code 0.

    Raises:
        HpoError: there is no storage, a port is taken, or a server ended by itself.
    """
    options = parser().parse_args(argv)
    from hpo.dashboards import wait_until_ready
    from hpo.errors import HpoError
    from hpo.study import existing_storage, load_newest
    from hpo.tracking import dashboard_path
    from recsys.passwords import public_uri

    locations = chosen_locations(options)
    storage = existing_storage(locations.storage)
    study = load_newest(storage, options.study_name, print)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with ExitStack() as stack:
        servers = _start(options, locations, storage, stack)
        if not all(wait_until_ready(server, stopping.wait) for server in servers):
            return 0
        mode = "can be changed by anyone" if options.allow_writes else "read-only"
        mlflow = servers[1].address if len(servers) > 1 else public_uri(locations.tracking_uri)
        page = _study_page(locations, study, mlflow)
        print(f"optuna-dashboard  {servers[0].address}{dashboard_path(study._study_id)}  ({mode})")
        print(
            f"MLflow            {page}{_link_hint(locations, study.study_name, servers)}\n"
            "Ctrl-C stops this",
            flush=True,
        )
        while not stopping.wait(0.5):
            if problems := [problem for server in servers if (problem := server.problem())]:
                raise HpoError(problems[0])
    print("stopped")
    return 0


def _study_page(locations: Locations, study: Study, mlflow: str) -> str:
    """Return the address of the study's trials in MLflow, or of all experiments if MLflow fails."""
    from hpo.study import StudyRecord
    from hpo.tracking import experiments_address, page_of_study
    from recsys.errors import TrackingError

    try:
        return page_of_study(locations, StudyRecord.of(study), mlflow)
    except TrackingError as error:
        return f"{experiments_address(mlflow)}  ({error})"


def _link_hint(locations: Locations, study_name: str, servers: Sequence[Server]) -> str:
    """Return a hint at the command that makes links between the two lead here, "" if they do."""
    from hpo.config import command
    from hpo.tracking import mlflow_base

    wanted = {"--dashboard-url": locations.dashboard_url, "--mlflow-url": mlflow_base(locations)}
    seen = zip(wanted, servers, strict=False)
    other = {name: s.address for name, s in seen if s.address != wanted[name]}
    again = command("sync", study_name, locations, more=other)
    return f"\nif links lead elsewhere: {again}" if other else ""


def _start(
    options: argparse.Namespace, locations: Locations, storage: RDBStorage, stack: ExitStack
) -> list[Server]:
    """Start both servers, or only optuna-dashboard where MLflow is a server already.

    Raises:
        SettingsError: --host is an IPv6 address, or a port cannot be used.
    """
    from hpo.dashboards import EVERYWHERE, LOCAL_HOSTS, DashboardServer, Guard, MlflowServer
    from hpo.errors import SettingsError
    from hpo.study import DashboardFiles, artifact_folder
    from hpo.tracking import dashboard_app
    from recsys.artifacts import is_server, open_client, sqlite_file

    if ":" in options.host:
        raise SettingsError(
            f"--host {options.host}: IPv6 is not supported; give a name or an IPv4 address, for "
            "instance 127.0.0.1 (this machine) or 0.0.0.0 (everybody)"
        )
    names = {*LOCAL_HOSTS, *options.allowed_host, options.host} - {*EVERYWHERE}
    hosts = sorted(name.lower() for name in names)
    if options.allow_writes:  # users may add the first artifact
        artifact_folder(locations.storage).mkdir(parents=True, exist_ok=True)
    store = DashboardFiles(locations, storage)
    shown = dashboard_app(storage, store, allow_writes=options.allow_writes)
    app = Guard(shown, hosts, allow_writes=options.allow_writes)
    servers: list[Server] = [DashboardServer(app, options.host, options.port, "--port")]
    stack.callback(servers[0].stop)
    uri = locations.tracking_uri
    if not is_server(uri):
        print("starting the MLflow UI; this takes some seconds", flush=True)
        file = sqlite_file(uri)
        if file is None or not file.exists():
            open_client(uri)
        ui = MlflowServer(uri, options.host, options.mlflow_port, hosts, "--mlflow-port")
        stack.callback(ui.stop)
        servers.append(ui)
    return servers


if __name__ == "__main__":
    run_command(main)
