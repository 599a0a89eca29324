"""Both user interfaces: they come up, they cannot be written to, they end."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.error import HTTPError

import psutil
import pytest
from optuna.trial import TrialState

from hpo import dashboard
from hpo.config.locations import Locations
from hpo.dashboard import _link_hint, _study_page
from hpo.dashboards.host_guard import Guard
from hpo.dashboards.servers import DashboardServer, MlflowServer, Server, wait_until_ready
from hpo.errors import HpoError, SettingsError, StudyError
from hpo.tracking.mirror import Mirror
from hpo.tracking.study_page import page_of_study
from hpo.tracking.urls import study_address
from tests.support.commands import ROOT, environment
from tests.support.dashboards import ask, listed, serve, study
from tests.support.fake_study import FakeStudy, locations
from tests.support.mlflow_server import TrackingServer, eventually, free_port

__all__ = ["study"]


def test_a_taken_port_says_which_option_chooses_another(study: FakeStudy) -> None:
    nobody = Guard(lambda *_: [], [], allow_writes=False)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"127.0.0.1:{port} .*--port"):
            DashboardServer(nobody, "127.0.0.1", port, "--port")
        with pytest.raises(SettingsError, match="--mlflow-port"):
            MlflowServer(study.locations.tracking_uri, "127.0.0.1", port, [], "--mlflow-port")


def test_no_storage_no_dashboard(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"nothing.db: no study storage .* hpo.run") as error:
        dashboard.main(["--storage", f"sqlite:///{(tmp_path / 'nothing.db').as_posix()}"])
    assert error.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


class Dead:
    """A server that has ended."""

    address, health = "http://127.0.0.1:9", "/"

    def problem(self) -> str:
        return "it has ended with exit code 5"

    def stop(self) -> None:
        pass


def test_nobody_waits_for_a_server_that_has_ended() -> None:
    with pytest.raises(HpoError, match="exit code 5"):
        wait_until_ready(Dead(), threading.Event().wait)


def test_port_0_is_any_free_port_and_no_proxy_is_asked_for_this_machine(
    study: FakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("hpo.dashboards.servers.READY_SECONDS", 10.0)
    server = serve(study, allow_writes=False)
    assert wait_until_ready(server, threading.Event().wait)
    server.stop()


@contextmanager
def running(locations: Locations, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The command; whatever is left of it when the block ends is killed."""
    stores = ["--storage", locations.storage, "--tracking-uri", locations.tracking_uri]
    command = [sys.executable, "-m", "hpo.dashboard", *stores, *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in family:
                child.kill()
            process.wait()


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if text in line:
            return lines
    raise AssertionError(f"it ended after {lines}")


@pytest.mark.new_interpreters
@pytest.mark.slow
def test_both_come_up_on_the_same_stores_and_end_on_ctrl_c(study: FakeStudy) -> None:
    Mirror(study.locations, None).sync()
    ports = free_port(), free_port()
    options = ["--port", str(ports[0]), "--mlflow-port", str(ports[1]), "--allowed-host", "box"]
    with running(study.locations, *options) as process:
        family = [psutil.Process(process.pid)]
        lines = read_until(process, "Ctrl-C")
        family += family[0].children(recursive=True)
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        links = f"--dashboard-url {addresses[0]} --mlflow-url {addresses[1]}"
        uid, places = study.record.uid, study.locations
        stores = f"--storage {places.storage} --tracking-uri {places.tracking_uri}"
        page = study_address(addresses[1], "1", uid, "best_recall_at_10")
        assert lines[-4:] == [
            f"optuna-dashboard  {addresses[0]}/dashboard/studies/1  (read-only)",
            f"MLflow            {page}",
            f"if links lead elsewhere: python -m hpo.sync --study-name fake-demo {stores} {links}",
            "Ctrl-C stops this",
        ]
        mlflow = f"http://127.0.0.1:{ports[1]}"
        search = f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=5"
        assert "two-tower-hpo" in ask(search).body
        assert ask(search, Host=f"10.evil.example:{ports[1]}").status == 403
        assert ask(search, Host="localhost:9000").status == 200  # through a tunnel
        assert ask(search, Host=f"LocalHost:{ports[1]}").status == 200
        own = {"Host": "box", "Origin": "http://box"}  # a name of --allowed-host, behind a proxy
        searched = f"{mlflow}/ajax-api/2.0/mlflow/experiments/search"
        assert ask(searched, "POST", **own).status != 403
        assert ask(searched, "POST", Host="box", Origin="http://evil.example").status == 403
        assert ask(mlflow).status == 200
        assert "fake-demo" in ask(f"{addresses[0]}/api/studies").body
        page = listed(addresses[0])["report.html"]
        assert ask(addresses[0] + page).body == "report.html, first"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not psutil.wait_procs(family, timeout=30)[1]


def test_a_leash_ends_what_its_starter_left_behind(tmp_path: Path) -> None:
    """With a stand-in for `mlflow server` that has a child of its own, too."""
    (tmp_path / "patient.py").write_text(
        "import subprocess, sys\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "subprocess.Popen(command).wait()\n"
    )
    starter = (
        "import subprocess, sys, time\n"
        "name = 'hpo.dashboards.supervised'\n"
        "subprocess.Popen([sys.executable, '-m', name, 'patient'], stdin=subprocess.PIPE)\n"
        "time.sleep(600)\n"
    )
    env = environment(PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    process = subprocess.Popen([sys.executable, "-c", starter], env=env)
    root = psutil.Process(process.pid)
    eventually(lambda: len(root.children(recursive=True)) == 2)
    family = root.children(recursive=True)
    process.kill()
    process.wait()
    assert not psutil.wait_procs(family, timeout=30)[1]


@pytest.mark.slow
def test_killed_it_leaves_no_server_behind(study: FakeStudy) -> None:
    ports = ["--port", str(free_port()), "--mlflow-port", str(free_port())]
    with running(study.locations, *ports) as process:
        read_until(process, "Ctrl-C")
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        process.kill()
        assert not psutil.wait_procs(family, timeout=30)[1]


@pytest.mark.slow
def test_a_tracking_server_is_not_started_twice(
    study: FakeStudy, tracking_server: TrackingServer
) -> None:
    target = Locations(study.locations.storage, tracking_server.uri.replace("//", "//user:secret@"))
    with running(target, "--port", str(free_port())) as process:
        lines = read_until(process, "Ctrl-C")
        assert (
            f"MLflow            {tracking_server.uri}/#/experiments?workflowType=machine_learning"
            in lines
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def post_traces(address: str, body: bytes, **headers: str) -> int:
    """Status of an OTLP export as protobuf."""
    request = urllib.request.Request(f"{address}/v1/traces", data=body, headers=headers)
    request.add_header("Content-Type", "application/x-protobuf")
    request.add_header("x-mlflow-experiment-id", "0")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def one_span() -> bytes:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = os.urandom(16), os.urandom(8), "planted"
    span.start_time_unix_nano, span.end_time_unix_nano = (
        1_700_000_000 * 10**9,
        1_700_000_001 * 10**9,
    )
    return request.SerializeToString()


@pytest.mark.slow
def test_mlflow_takes_nothing_from_other_sites(tracking_server: TrackingServer) -> None:
    """MLflow itself asks only under /api/ and /ajax-api/ who sent a request."""
    address, own = tracking_server.uri, tracking_server.uri
    for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example"):
        assert post_traces(address, one_span(), Origin=origin) == 403
        for path in ("/", "/v1/traces", "/api/2.0/mlflow/experiments/search?max_results=1"):
            assert ask(address + path, Origin=origin).status == 403
    assert post_traces(address, one_span(), Host="evil.example") == 403
    assert post_traces(address, one_span(), Origin=own) == 200
    assert post_traces(address, one_span()) == 200
    assert ask(address, Origin=own).status == 200


def test_the_page_of_a_study_is_known_once_it_has_a_run(tmp_path: Path, mlflow_uri: str) -> None:
    study = FakeStudy(locations(tmp_path, mlflow_uri))  # the shared one may have a run already
    study.run(TrialState.COMPLETE)
    target, base = study.locations, "http://127.0.0.1:5000"
    unknown = f"{base}/#/experiments?workflowType=machine_learning"
    assert page_of_study(target, study.record, base) == unknown
    Mirror(target, None).sync()
    address = page_of_study(target, study.record, base)
    assert address.startswith(f"{base}/#/experiments/1/runs?workflowType=machine_learning&search")
    assert f"{study.record.uid}%27" in address
    order = "&orderByKey=metrics.best_recall_at_10&orderByAsc=false&compareRunsMode=CHART"
    assert address.endswith(order)
    missing = replace(target, tracking_uri=f"{target.tracking_uri}.none")
    assert page_of_study(missing, study.record, base) == unknown
    gone = replace(target, tracking_uri="http://127.0.0.1:9")
    assert _study_page(gone, study.study, base).startswith(f"{unknown}  (MLflow at http://127.")


def test_the_hint_on_links_is_a_command_that_can_be_pasted() -> None:
    def seen_at(address: str) -> Server:
        return cast("Server", SimpleNamespace(address=address))

    default, name = Locations(), 'c<b>"'
    servers = [seen_at(default.dashboard_url), seen_at("http://127.0.0.1:5000")]
    assert _link_hint(default, name, servers) == ""
    blank = Locations("sqlite:////a b/o.db", dashboard_url="http://elsewhere")
    _, _, pasted = _link_hint(blank, name, servers).partition(": ")
    assert shlex.split(pasted) == [
        "python", "-m", "hpo.sync", "--study-name", name, "--storage", "sqlite:////a b/o.db",
        "--dashboard-url", default.dashboard_url,
    ]  # fmt: skip
