"""Check everything that touches a GPU, and how fast trainings are there; under three minutes.

    make gpu-check                       # the first GPU
    python -m benchmarks.gpu --device cpu --small   # the same parts where there is none

Needs neither server nor network: ml-100k comes from the cache or from --ml-100k, else a generated
set of its size stands in for it. Prints a line for each part; exit code 1 if one fails.
Never run on a GPU so far (2026-11): none was at hand when it was written.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import split
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.training.resources import (
    Sizes,
    forget_peaks,
    memory_need,
    peak_gpu_mb,
    release_memory,
)
from recsys.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
STUDY = """n_trials = {n_trials}
[base]
dim = 16
epochs = {epochs}
patience = {epochs}
[space]
dim = {{ choices = {dims} }}
lr = {{ low = 0.001, high = 0.05, log = true }}
[pruner]
name = "median"
startup = 2
warmup = 1
"""


@dataclass
class Setting:
    """The setting that all parts share.

    Attributes:
        device: torch device name.
        small: True for data and studies that a CPU does in seconds.
        ml_100k: name or path of ml-100k, or of the set that stands in for it.
        folder: place for stores and data.
    """

    device: str
    small: bool
    ml_100k: str
    folder: Path

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.device).type == "cuda"

    @property
    def device_inside(self) -> str:
        """Return the device's name in the commands, which see no other GPU."""
        return "cuda" if self.on_gpu else self.device

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of the commands, some of which have no --device.

        Raises:
            SystemExit: CUDA_VISIBLE_DEVICES hides the GPU.
        """
        place, seen = torch.device(self.device).index or 0, os.environ.get("CUDA_VISIBLE_DEVICES")
        names = [name for name in (seen or "").split(",") if name.strip() not in ("", "-1")]
        gpus = [str(place)] if seen is None else names[place : place + 1]
        if self.on_gpu and not gpus:
            raise SystemExit(
                f"--device {self.device}: CUDA_VISIBLE_DEVICES={seen} shows fewer GPUs; give a "
                "lower number, or unset it"
            )
        return {**os.environ, "CUDA_VISIBLE_DEVICES": gpus[0] if self.on_gpu else "-1"}


class Skipped(Exception):
    """A part that means nothing on this device."""


def run(
    setting: Setting,
    module: str,
    *arguments: object,
    folder: Path | None = None,
    codes: tuple[int, ...] = (0,),
) -> str:
    """Run a command and return what it printed; raise AssertionError on another exit code."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    found = subprocess.run(
        command, cwd=folder or setting.folder, env=setting.environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert found.returncode in codes, f"{module}: exit code {found.returncode}: {_tail(found)}"
    return found.stdout


def _tail(found: subprocess.CompletedProcess[str]) -> str:
    lines = (found.stderr.strip() or found.stdout.strip()).splitlines()
    return " | ".join(lines[-3:])


def study(
    setting: Setting, name: str, n_trials: int, epochs: int, dims: str = "[8, 16, 32]"
) -> list:
    """Write a study file; return the options of hpo.run for it."""
    path = setting.folder / f"{name}.toml"
    path.write_text(STUDY.format(n_trials=n_trials, epochs=epochs, dims=dims), encoding="utf-8")
    return ["--study", path, "--device", setting.device_inside, "--study-name", name]


def cuda_tests(setting: Setting) -> str:
    if not setting.on_gpu:
        raise Skipped
    out = run(setting, "pytest", "-q", "-m", "cuda", ROOT / "tests/recsys/training", folder=ROOT)
    assert "passed" in out, out
    return out.strip().splitlines()[-1]


def searches(setting: Setting) -> str:
    """Search demo and ml-100k with 1 and with 4 workers on the device, with pruning."""
    n_trials, epochs = (4, 2) if setting.small else (8, 6)
    told = []
    sources = ["demo"] if setting.small else ["demo", setting.ml_100k]
    for source in sources:
        for workers in (1, 2 if setting.small else 4):
            name = f"{Path(source).stem}-{workers}"
            begin = time.perf_counter()
            options = study(setting, name, n_trials, epochs)
            quiet = ["--no-tracking", "--no-report", "--json"]
            flags = ["--data", source, "--workers", workers]
            out = run(setting, "hpo.run", *options, *flags, *quiet)
            last = json.loads(out.splitlines()[-1])
            assert (last["reason"], last["n_finished"]) == ("complete", n_trials), last
            told.append(f"{name} {time.perf_counter() - begin:.0f} s")
    return ", ".join(told)


def stop_and_go_on(setting: Setting) -> str:
    """Ctrl-C in the first epochs parks the trials; the same command ends the study."""
    options = study(setting, "stopped", 3, 6 if setting.small else 30)
    command = [*options, "--data", "demo", "--workers", 1, "--no-tracking", "--no-report", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hpo.run", *map(str, command)],
        cwd=setting.folder, env=setting.environment, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "epoch":
            process.send_signal(signal.SIGINT)
            break
    process.stdout.read()
    assert process.wait() in (0, 130), f"exit code {process.returncode} after Ctrl-C"
    last = json.loads(run(setting, "hpo.run", *command).splitlines()[-1])
    assert last["reason"] == "complete", last
    return "parked, resumed" if process.returncode else "ended before Ctrl-C arrived"


def out_of_memory(setting: Setting) -> str:
    """A config that finds no room is PRUNED after its retry, and the next one trains."""
    if not setting.on_gpu:
        raise Skipped
    device = torch.device(setting.device)
    free = torch.cuda.mem_get_info(device)[0]
    ballast = torch.empty(max(0, free - 1_600_000_000), dtype=torch.uint8, device=device)
    shop = generated(2_000, 20_000, 100_000, timed=True)
    path = setting.folder / "wide.parquet"
    frame(shop).write_parquet(path)
    options = study(setting, "full", 4, 1, dims="[8, 4096]")
    options += ["--set", "base.dim=4096"]
    quiet = ["--no-tracking", "--no-report", "--json"]
    out = run(setting, "hpo.run", *options, "--data", path, "--workers", 1, *quiet)
    ended = [json.loads(line) for line in out.splitlines() if '"ended"' in line]
    full = [event for event in ended if event.get("cause") == "out-of-memory"]
    states = [event["state"].upper() for event in full]
    del ballast
    release_memory(device)
    assert states[:1] == ["FAIL"] and "PRUNED" in states, ended
    assert any(event["state"].upper() == "COMPLETE" for event in ended), ended
    return f"{len(full)} attempts without room, then {len(ended) - len(full)} trials"


def replays(setting: Setting) -> str:
    out = run(setting, "hpo.replay", "--trial", 0, "--study-name", "stopped")
    return out.strip().splitlines()[-1]


def promotes(setting: Setting) -> str:
    """Promote, report and serve a model that was trained on the device."""
    options = study(setting, "served", 2, 2)
    run(setting, "hpo.run", *options, "--data", "demo", "--workers", 1, "--no-report")
    run(setting, "hpo.report", "--study-name", "served")
    flags = ["--study-name", "served", "--candidates", 1, "--seeds", 1, "--force", "gpu-check"]
    run(setting, "hpo.promote", *flags, codes=(0, 1))
    port = 18_000 + int(time.time()) % 10_000
    server = subprocess.Popen(
        [sys.executable, "-m", "hpo.serve", "--port", str(port)],
        cwd=setting.folder, env=setting.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        answer = _asked(f"http://127.0.0.1:{port}/recommend", server)
    finally:
        server.terminate()
        server.wait()
    return f"reported, promoted, served {len(answer['items'])} items"


def _asked(url: str, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return the model's answer for a user of demo, as soon as the server gives one."""
    body = json.dumps({"user_id": "u0001", "k": 5}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    for _ in range(600):
        assert server.poll() is None, f"hpo.serve ended with {server.returncode}"
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                found: dict[str, Any] = json.load(reply)
                break
        except OSError:
            time.sleep(0.1)
    else:
        raise AssertionError("hpo.serve gave no answer in a minute")
    assert found["source"] == "model", found
    return found


def generated(n_users: int, n_items: int, n: int, *, timed: bool) -> Interactions:
    """Draw rows with popular items and tastes: a user prefers items near a place of their own."""
    rng = np.random.default_rng(0)
    users = rng.integers(0, n_users, n)
    near = rng.random(n_users)[users] + rng.normal(0, 0.05, n)
    popular = rng.random(n) ** 3
    items = (np.where(rng.random(n) < 0.7, near % 1, popular) * n_items).astype(int) % n_items
    times = rng.integers(0, 10_000_000, n) * 1_000_000 if timed else None
    return Interactions.from_ids(users.tolist(), items.tolist(), times)


def frame(data: Interactions) -> pl.DataFrame:
    columns = {"user_id": data.users, "item_id": data.items}
    return pl.DataFrame(columns | ({} if data.times is None else {"timestamp": data.times}))


def speed(setting: Setting, name: str, size: tuple[int, int, int], *, timed: bool) -> str:
    """Time an epoch and an evaluation; count launches and the share of time that the GPU works."""
    if setting.small:
        size = (size[0] // 20, size[1] // 20, size[2] // 20)
    data = split(generated(*size, timed=timed)).tuning
    device, config = torch.device(setting.device), TrainConfig()
    need = memory_need(Sizes.of(data.seen), config, device)
    forget_peaks(device)  # those of the part that fills the GPU
    trainer, evaluator = Trainer(data.seen, config, device), Evaluator(data, device)

    def evaluate() -> None:
        evaluator.evaluate(TowerScorer(trainer.model, data.seen))

    trainer.train_epoch()
    evaluate()
    epoch, evaluation = _seconds(trainer.train_epoch, device), _seconds(evaluate, device)
    told = f"{name}: epoch {epoch:.3f} s, evaluation {evaluation:.3f} s"
    if not setting.on_gpu:
        return told
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        trainer.train_epoch()
        torch.cuda.synchronize(device)
    kernels = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(event.device_time for event in kernels) / 1e6 / epoch
    peak = peak_gpu_mb(device)
    told += (
        f", {len(kernels)} launches, busy {busy:.0%}, peak {peak:.0f} MB of {need.total / 1e6:.0f}"
    )
    assert peak * 1e6 < 1.5 * need.total, f"more memory than reckoned: {told}"
    return told


def _seconds(action: Callable[[], object], device: torch.device) -> float:
    """Return the best of three times, the device's work included."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return min(times)


def parts(setting: Setting) -> dict[str, Callable[[], str]]:
    """Return all parts by name, in their order."""
    sized = {
        "like ml-100k": ((943, 1_682, 100_000), True),
        "6,000 x 4,000": ((6_000, 4_000, 1_000_000), True),
        "30,000 x 41,000": ((30_000, 41_000, 800_000), False),
    }
    found: dict[str, Callable[[], str]] = {
        "cuda tests": lambda: cuda_tests(setting),
        "studies": lambda: searches(setting),
        "Ctrl-C": lambda: stop_and_go_on(setting),
        "out of memory": lambda: out_of_memory(setting),
        "replay": lambda: replays(setting),
        "promotion": lambda: promotes(setting),
    }
    for name, (size, timed) in sized.items():
        found[f"speed, {name}"] = lambda name=name, size=size, timed=timed: speed(
            setting, name, size, timed=timed
        )
    return found


def check(setting: Setting, wanted: str = "") -> dict[str, str]:
    """Run the parts whose name contains a word; print and return pass, FAIL or skipped of each."""
    verdicts = {}
    for name, part in parts(setting).items():
        if wanted not in name:
            continue
        begin = time.perf_counter()
        try:
            verdict, told = "pass", part()
        except Skipped:
            verdict, told = "skipped", "only on a CUDA device"
        except Exception as error:
            verdict, told = "FAIL", f"{type(error).__name__}: {error}"
        verdicts[name] = verdict
        print(f"{verdict:8}{name:24}{time.perf_counter() - begin:6.1f} s  {told}", flush=True)
    return verdicts


def stand_in(folder: Path) -> str:
    """Return ml-100k's name if it is in the cache, else a generated file of its size."""
    from recsys.datasets import cache_folder
    from recsys.datasets.movielens import is_complete

    if is_complete(cache_folder() / "ml-100k"):
        return "ml-100k"
    path = folder / "like-ml-100k.parquet"
    frame(generated(943, 1_682, 100_000, timed=True)).write_parquet(path)
    return str(path)


def main() -> int:
    """Run the check and return the exit code."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = options.ml_100k or stand_in(folder)
        setting = Setting(options.device, options.small, source, folder)
        device = torch.device(options.device)
        kind = torch.cuda.get_device_name(device) if setting.on_gpu else device.type
        print(f"{kind}, torch {torch.__version__}, ml-100k: {Path(source).name}")
        verdicts = check(setting, options.part)
    return int("FAIL" in verdicts.values())


def parser() -> argparse.ArgumentParser:
    """Return the parser of the check."""
    result = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    result.add_argument("--device", default="cuda", help="torch device (default: %(default)s)")
    result.add_argument("--small", action="store_true", help="a twentieth of the data, few trials")
    result.add_argument("--part", default="", help="only parts whose name contains this word")
    result.add_argument(
        "--ml-100k", metavar="PATH", help="folder of ml-100k (default: the cache's)"
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
