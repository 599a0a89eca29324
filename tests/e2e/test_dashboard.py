"""Both user interfaces: they come up, they cannot be written to, they end."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
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
from hpo.dashboards.host_guard import LOCAL_HOSTS, Guard
from hpo.dashboards.servers import DashboardServer, MlflowServer, Server, wait_until_ready
from hpo.errors import HpoError, SettingsError, StudyError
from hpo.study.files.artifacts import artifact_folder
from hpo.study.files.contents import DashboardFiles
from hpo.tracking.dashboard_view import dashboard_app
from hpo.tracking.mirror import Mirror
from hpo.tracking.study_page import page_of_study
from hpo.tracking.urls import study_address
from tests.support.commands import ROOT, environment
from tests.support.fake_study import FakeStudy, locations
from tests.support.mlflow_server import TrackingServer, eventually, free_port


@dataclass
class Answer:
    status: int
    body: str


def ask(url: str, method: str = "GET", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b'{"study_name": "x"}' if method in ("POST", "PUT") else None
    request = urllib.request.Request(url, method=method, headers=named, data=body)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, answer.read().decode())
    except HTTPError as error:
        return Answer(error.code, error.read().decode())


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> FakeStudy:
    """A study with a kept trial, beside an empty MLflow database. Nothing here may change it."""
    folder = tmp_path_factory.mktemp("dashboard")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    made = FakeStudy(locations(folder))
    made.run(TrialState.COMPLETE)
    made.keep(0)
    return made


def serve(study: FakeStudy, *, allow_writes: bool) -> DashboardServer:
    store = DashboardFiles(study.locations, study.storage)
    app = dashboard_app(study.storage, store, allow_writes=allow_writes)
    guard = Guard(app, [*LOCAL_HOSTS, "known"], allow_writes=allow_writes)
    return DashboardServer(guard, "127.0.0.1", 0, "--port")


@pytest.fixture(scope="module")
def read_only(study: FakeStudy) -> Iterator[str]:
    server = serve(study, allow_writes=False)
    yield server.address
    server.stop()


def test_reading_works(read_only: str) -> None:
    studies = json.loads(ask(f"{read_only}/api/studies").body)
    assert [summary["study_name"] for summary in studies["study_summaries"]] == ["fake-demo"]
    page = ask(f"{read_only}/dashboard/studies/1/trials?numbers=0", Host="localhost:1")
    assert (page.status, "<html" in page.body) == (200, True)
    assert ask(f"{read_only}/api/studies", "HEAD").status == 200


PAGES = ("/dashboard", "/dashboard/studies/1/trials?numbers=0")


def headers_of(url: str, method: str, **conditions: str) -> dict[str, str]:
    """Headers of a page that is there, by their names in lower case."""
    named = {name.replace("_", "-"): value for name, value in conditions.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
        assert method == "HEAD" or len(answer.read()) == int(answer.headers["Content-Length"])
        return {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_that_it_is_read_only(read_only: str, path: str) -> None:
    body = ask(read_only + path).body
    assert body.count('<div id="read-only"') == 1
    assert '[aria-label="delete study"]' in body
    assert body.rstrip().endswith("</body>\n</html>")
    answers = [headers_of(read_only + path, method) for method in ("GET", "HEAD")]
    assert answers[0]["content-length"] == answers[1]["content-length"] == str(len(body.encode()))


def test_a_page_from_before_is_not_used_again(read_only: str) -> None:
    """A browser may keep one that was sent where writes are allowed, or by another version."""
    tomorrow = "Fri, 01 Jan 2100 00:00:00 GMT"
    page = f"{read_only}/dashboard"
    headers = headers_of(page, "GET", If_Modified_Since=tomorrow, Range="bytes=0-9")
    assert headers["cache-control"] == "no-store"
    assert not {"last-modified", "etag"} & set(headers)


def test_a_line_is_put_into_pages_alone(read_only: str) -> None:
    """A kept report is HTML, too."""
    for path in (listed(read_only)["report.html"], "/api/studies/1", "/csv/1"):
        assert "read-only" not in ask(read_only + path).body


def listed(address: str) -> dict[str, str]:
    """Name of each artifact that the study's and the trial's page show, to where it is served."""
    study = json.loads(ask(f"{address}/api/studies/1").body)
    (trial,) = study["trials"]
    pages = {"/artifacts/1": study, f"/artifacts/1/{trial['trial_id']}": trial}
    return {
        artifact["filename"]: f"{path}/{artifact['artifact_id']}"
        for path, shown in pages.items()
        for artifact in shown["artifacts"]
    }


def test_what_a_study_keeps_is_shown_and_served(read_only: str) -> None:
    shown = listed(read_only)
    assert set(shown) == {"report.html", "history.png", "item_vecs.npy", "model_meta.json"}
    assert shown["report.html"].count("/") == 3  # on the study's page; the model on its trial's
    assert shown["item_vecs.npy"].count("/") == 4
    assert ask(read_only + shown["report.html"]) == Answer(200, "report.html, first")
    model = ask(read_only + shown["item_vecs.npy"])
    assert model == Answer(200, "item_vecs.npy of trial 0, first")
    foreign = {"Origin": "http://evil.example"}
    assert ask(read_only + shown["report.html"], **foreign).status == 403


def test_what_a_study_keeps_cannot_be_changed(study: FakeStudy, read_only: str) -> None:
    shown = listed(read_only)
    for path in shown.values():
        assert ask(f"{read_only}/api{path}", "DELETE").status == 405
    for path in ("/api/artifacts/1", "/api/artifacts/1/1"):
        assert ask(read_only + path, "POST").status == 405
    assert listed(read_only) == shown
    assert len(list(artifact_folder(study.locations.storage).iterdir())) == 4


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/1"),
        ("POST", "/api/studies"),
        ("POST", "/api/studies/1/rename"),
        ("POST", "/api/trials/1/tell"),
        ("POST", "/api/trials/1/user-attrs"),
        ("PUT", "/api/studies/1/note"),
        ("PUT", "/api/studies/1/1/note"),
        ("PATCH", "/api/studies/1"),
        ("OPTIONS", "/api/studies/1"),
    ],
)
@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://evil.example"}, {"Host": "evil.example"}]
)
def test_writing_is_refused_and_changes_nothing(
    study: FakeStudy, read_only: str, method: str, path: str, headers: dict[str, str]
) -> None:
    before = study.study.get_trials(), study.storage.get_all_studies()
    assert ask(read_only + path, method, **headers).status == (403 if headers else 405)
    now = study.study.get_trials(), study.storage.get_all_studies()
    assert [vars(item) for item in now[1]] == [vars(item) for item in before[1]]
    assert now[0] == before[0]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_is_refused(read_only: str, host: str) -> None:
    assert ask(f"{read_only}/api/studies", Host=host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST:99", "[::1]:8080", "known"])
def test_a_known_host_is_served(read_only: str, host: str) -> None:
    assert ask(f"{read_only}/api/studies", Host=host).status == 200


def test_writes_when_allowed_but_not_for_other_sites(tmp_path: Path) -> None:
    study = FakeStudy(locations(tmp_path))
    server = serve(study, allow_writes=True)
    url = f"{server.address}/api/studies/1"
    assert "read-only" not in ask(f"{server.address}/dashboard").body
    assert ask(url, "DELETE", Origin="http://evil.example").status == 403
    assert ask(url, "DELETE", Origin=server.address).status == 204
    assert study.storage.get_all_studies() == []
    server.stop()


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
