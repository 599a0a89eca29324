"""Passwords of the storage, of MLflow and of the data's address: a study leaves them nowhere."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
import sqlalchemy

from tests.support.commands import finish, run, shop, start, study_file
from tests.support.forking import popen
from tests.support.mlflow_server import TrackingServer
from tests.support.postgresql import postgresql_url
from tests.support.tcp_proxy import before_postgresql

__all__ = ["postgresql_url"]
pytestmark = pytest.mark.slow

SECRETS = ("storage-hush", "tracking-hush", "data-hush")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Host and port of a web server with the data, which takes any login."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    folder = tmp_path / "web"
    folder.mkdir()
    shop(folder)
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def found_in(text: str, where: str) -> list[str]:
    return [f"{secret} in {where}: {text[:2000]}" for secret in SECRETS if secret in text]


def command_lines(process: subprocess.Popen[str], over: threading.Event) -> set[str]:
    """Command lines of a process and its children, as `ps` shows them, until it is over."""
    seen: set[str] = set()
    while not over.wait(0.05):
        with suppress(psutil.Error):
            root = psutil.Process(process.pid)
            for each in [root, *root.children(recursive=True)]:
                with suppress(psutil.Error):
                    seen.add(" ".join(each.cmdline()))
    return seen


def stored_texts(url: str) -> str:
    """Return all rows of all tables of a database, as text."""
    engine = sqlalchemy.create_engine(url)
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = [str(connection.execute(table.select()).all()) for table in tables.sorted_tables]
    engine.dispose()
    return "\n".join(rows)


def test_passwords_stay_where_they_were_given(
    tmp_path: Path, postgresql_url: str, tracking_server: TrackingServer, web: str
) -> None:
    proxy, through = before_postgresql(postgresql_url)
    made = sqlalchemy.make_url(through).set(password=SECRETS[0])
    folder = tmp_path / "work"
    folder.mkdir()
    env = {
        "HPO_STORAGE": made.render_as_string(hide_password=False),
        "MLFLOW_TRACKING_URI": tracking_server.uri.replace("//", f"//me:{SECRETS[1]}@"),
        "DATA_PASSWORD": SECRETS[2],
    }
    data = f"http://me:$DATA_PASSWORD@{web}/interactions.csv"
    toml = study_file(tmp_path, n_trials=3)
    call = ["--data", data, "--study", toml, "--workers", 1]

    with popen.suspended(yes=True):  # the command lines of new interpreters are looked at
        process = start("hpo.run", *call, cwd=folder, **env)
    over, lines = threading.Event(), set[str]()
    watcher = threading.Thread(target=lambda: lines.update(command_lines(process, over)))
    watcher.start()
    code, out, err = finish(process)
    over.set()
    watcher.join()
    assert code == 0, out + err
    assert any("hpo.runners.worker" in line for line in lines)

    found = [*found_in(out + err, "the output"), *found_in("\n".join(lines), "the processes")]
    found += found_in(stored_texts(postgresql_url), "the storage")
    found += found_in(stored_texts(f"sqlite:///{tracking_server.database.as_posix()}"), "MLflow")
    places = [folder, tracking_server.database.parent]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert any(path.name == "report.html" for path in files)
    for path in files:
        found += found_in(path.read_bytes().decode("latin-1"), str(path))
    assert found == []

    proxy.close()
    web_is_gone = [*call[:1], data.replace(web, "127.0.0.1:9"), *call[2:]]
    for words in (call, web_is_gone):
        code, out, err = run("hpo.run", *words, cwd=folder, **env)
        assert code != 0
        assert "Traceback" not in err
        assert found_in(out + err, "the error") == []
