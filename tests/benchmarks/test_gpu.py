"""The check for machines with a GPU, on a stand-in for one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import torch

from benchmarks import gpu
from recsys.datasets.demo import demo_dataset
from tests.support.cuda_double import CudaDouble, cuda as cuda

VISIBLE = "CUDA_VISIBLE_DEVICES"
UP = SimpleNamespace(poll=lambda: None)  # a server that runs


def setting(folder: Path, device: str = "cuda") -> gpu.Setting:
    return gpu.Setting(device, small=True, ml_100k="demo", folder=folder)


@pytest.fixture
def profiled(cuda: CudaDouble, monkeypatch: pytest.MonkeyPatch) -> CudaDouble:
    """A GPU that can be waited for and profiled, which a stand-in cannot."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    profile = nullcontext(SimpleNamespace(events=list))
    monkeypatch.setattr(torch.profiler, "profile", lambda **_: profile)
    cuda.use()
    return cuda


def test_a_speed_forgets_the_memory_of_the_parts_before(
    profiled: CudaDouble, tmp_path: Path
) -> None:
    for name in ("like ml-100k", "larger"):
        profiled.memory.peak = 140 * 10**9  # as the part "out of memory" leaves it on a large GPU
        told = gpu.speed(setting(tmp_path), name, (943, 1_682, 20_000), timed=True)
        assert told.startswith(f"{name}: epoch ")
    assert profiled.forgotten == [torch.device("cuda")] * 2


def test_a_speed_that_takes_too_much_memory_fails(
    profiled: CudaDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def much(_: torch.device) -> None:
        profiled.memory.peak = 140 * 10**9

    monkeypatch.setattr(torch.cuda, "synchronize", much)
    with pytest.raises(AssertionError, match="more memory than reckoned"):
        gpu.speed(setting(tmp_path), "like ml-100k", (943, 1_682, 20_000), timed=True)


@pytest.mark.parametrize(
    ("device", "seen", "shown"),
    [
        ("cuda", None, "0"),
        ("cuda:2", None, "2"),
        ("cuda:1", "4,7", "7"),
        ("cuda:1", "GPU-a,GPU-b", "GPU-b"),
        ("cpu", None, "-1"),
        ("cpu", "4,7", "-1"),
    ],
)
def test_the_commands_see_the_gpu_that_was_asked_for_and_no_other(
    device: str, seen: str | None, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    if seen is not None:
        monkeypatch.setenv(VISIBLE, seen)
    asked = setting(tmp_path, device)
    (tmp_path / "tell.py").write_text(f"import os; print(os.environ['{VISIBLE}'])")
    assert gpu.run(asked, "tell").strip() == shown
    options = gpu.study(asked, "any", 1, 1)
    assert options[options.index("--device") + 1] == device.partition(":")[0]


@pytest.mark.parametrize(
    ("device", "seen"), [("cuda:1", "4"), ("cuda", ""), ("cuda", "-1"), ("cuda:1", "4,")]
)
def test_a_gpu_that_a_variable_hides_is_told(
    device: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, seen)
    with pytest.raises(SystemExit, match=f"--device {device}: {VISIBLE}={seen} shows fewer GPUs"):
        gpu.run(setting(tmp_path, device), "tell")


class Server(BaseHTTPRequestHandler):
    """Answers from the model for users of demo alone, as hpo.serve does."""

    known = frozenset(demo_dataset().interactions.user_ids)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        source = "model" if asked["user_id"] in self.known else "popular"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"items": [], "source": source}).encode())

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def serving(handler: type[Server]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/recommend"
        server.shutdown()


def test_the_promotion_asks_for_somebody_whom_the_model_knows() -> None:
    with serving(Server) as url:
        assert gpu._asked(url, UP)["source"] == "model"


def test_an_answer_of_popular_items_fails() -> None:
    class Forgetful(Server):
        known = frozenset()

    with serving(Forgetful) as url, pytest.raises(AssertionError, match="popular"):
        gpu._asked(url, UP)
