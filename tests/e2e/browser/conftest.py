"""A real study of twelve trials, both user interfaces on it, and the system's Chromium."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

from tests.support.commands import run, start
from tests.support.mlflow_server import free_port, mlflow_template

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["mlflow_template"]

N_TRIALS = 12
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
STUDY = f"""
data = "demo"
n_trials = {N_TRIALS}
[base]
dim = 16
lr = 0.02
epochs = 6
[space]
dim = {{ low = 8, high = 32, log = true }}
lr = {{ low = 1e-3, high = 3e-2, log = true }}
epochs = {{ low = 2, high = 6 }}
[pruner]
name = "median"
startup = 3
warmup = 1
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", metavar="DIR", help="keep what the browser shows as PNGs")


@dataclass(frozen=True)
class Watched:
    """Where both user interfaces are, and what is in MLflow.

    Attributes:
        runs: name of a run to its id; the study's is `demo`.
        best: number of the best trial, whose model is kept.
        report: the page that the study's end has written.
    """

    dashboard: str
    mlflow: str
    runs: dict[str, str]
    best: int
    report: Path


@pytest.fixture(scope="module")  # Playwright's event loop runs in this thread until it ends
def browser() -> Iterator[Browser]:
    reason = "browser tests need Playwright: pip install -c constraints.txt -e .[test]"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("browser tests need Chromium: install it, or say where it is in $CHROMIUM")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium has no sandbox for root
    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    made = browser.new_page(viewport={"width": 1440, "height": 860})
    made.set_default_timeout(60_000)
    yield made
    made.close()


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keeps a page as DIR/NAME.png in 128 colours, if --screenshots asks for it."""
    folder = request.config.getoption("--screenshots", default=None)

    def keep(page: Page, name: str) -> None:
        if folder is None:
            return
        from PIL import Image

        page.wait_for_timeout(1500)  # plots move into place
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        Path(folder).mkdir(parents=True, exist_ok=True)
        image.quantize(128).save(Path(folder) / f"{name}.png", optimize=True)

    return keep


@pytest.fixture(scope="module")
def watched(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "studies").mkdir()
    shutil.copy(mlflow_template, folder / "studies" / "mlflow.db")
    (folder / "demo.toml").write_text(STUDY, encoding="utf-8")
    ports = [free_port(), free_port()]
    dashboard, mlflow = (f"http://127.0.0.1:{port}" for port in ports)
    links = ["--dashboard-url", dashboard, "--mlflow-url", mlflow]
    call = ["--study", "demo.toml", "--study-name", "demo", *links]
    code, out, err = run("hpo.run", *call, cwd=folder)
    assert code == 0, out + err
    at = ["--port", ports[0], "--mlflow-port", ports[1]]
    with ExitStack() as stack:
        process = start("hpo.dashboard", *at, cwd=folder)
        stack.callback(_stop, process)
        assert process.stdout is not None
        assert any("Ctrl-C" in line for line in process.stdout), "it did not come up"
        found = MlflowClient(mlflow).search_runs(["1"])
        runs = {run.info.run_name: run.info.run_id for run in found}
        report = folder / "studies" / "reports" / "demo" / "report.html"
        (best,) = [r.data.tags["hpo.best_trial"] for r in found if r.info.run_name == "demo"]
        yield Watched(dashboard, mlflow, runs, int(best), report)


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT if sys.platform != "win32" else signal.SIGTERM)
    process.communicate(timeout=60)
