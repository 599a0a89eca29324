"""How fast hpo.serve answers, beside `mlflow models serve` on the same model.

    python benchmarks/serve_load.py --tracking-uri sqlite:///studies/mlflow.db
    python benchmarks/serve_load.py --generate 1000000

The load comes from wrk (Debian: apt-get install wrk), one thread: clients that ask again as soon as
they have an answer. Prints one table: requests/s, p50 and p99 latency and the server's CPU time a
request, at 1, 8 and 64 clients. The server has one core for itself where the system can say so,
wrk and this process have another. On a machine that others use, the CPU time is the figure to
compare: it does not count the time that others took.

`hpo.serve` asks for random known users, who come back: it remembers their answers. `hpo.serve, new`
never asks the same twice: each question excludes an item id of its own that nobody has.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = (1, 8, 64)
OURS = ("hpo.serve", "hpo.serve, new")
MLFLOW = "mlflow models serve"
LUA = """
local ids, n = {{{ids}}}, 0
math.randomseed(1)
request = function()
  n = n + 1
  local id = ids[math.random(#ids)]
  return wrk.format("POST", "{path}", {{["Content-Type"] = "application/json"}}, {body})
end
done = function(summary, latency, requests)
  print(string.format("FOUND %d %f %f %f", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
"""
DIM = 64
GENERATED_USERS = 2000
ITEMS_OF_CENTRE, SPREAD = 200, 0.5  # how far items lie from their centre, which is sqrt(DIM) long


@dataclass
class Target:
    """A server, and how it is asked: Lua that gives the body for `id`, and for `n`, a counter."""

    name: str
    command: list[str]
    path: str
    health: str
    body: str


@dataclass
class Row:
    """One line of the table; seconds."""

    name: str
    clients: int
    rate: float
    p50: float
    p99: float
    cpu: float


def targets(model: str, tracking_uri: str, port: int) -> list[Target]:
    ours = [sys.executable, "-m", "hpo.serve", "--port", str(port), "--model", model]
    ours += ["--tracking-uri", tracking_uri]
    theirs = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model]
    theirs += ["--env-manager", "local", "--port", str(port), "--host", "127.0.0.1"]
    columns = '{"dataframe_split":{"columns":["user_id"],"data":[["'
    bodies = {
        "hpo.serve": """'{"user_id":"' .. id .. '","k":10}'""",
        "hpo.serve, new": """'{"user_id":"' .. id .. '","k":10,"exclude":["?' .. n .. '"]}'""",
        MLFLOW: f"""'{columns}' .. id .. '"]]}},"params":{{"k":10}}}}'""",
    }
    return [
        Target("hpo.serve", ours, "/recommend", "/health", bodies["hpo.serve"]),
        Target("hpo.serve, new", ours, "/recommend", "/health", bodies["hpo.serve, new"]),
        Target(MLFLOW, theirs, "/invocations", "/ping", bodies[MLFLOW]),
    ]


@contextmanager
def started(target: Target, port: int, env: dict[str, str], cores: list[int]) -> Iterator[int]:
    """The server on its core, ready; its process id."""
    process = subprocess.Popen(
        target.command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not asyncio.run(is_ready(port, target.health)):
            if process.poll() is not None:
                raise SystemExit(f"{target.name} ended with {process.returncode}")
            time.sleep(0.2)
        for each in family(process.pid):
            if len(cores) > 1 and hasattr(each, "cpu_affinity"):
                each.cpu_affinity(cores[:1])
        yield process.pid
    finally:
        if process.poll() is None:  # else the failure that ended it is being raised
            for each in reversed(family(process.pid)):
                each.terminate()
        process.wait()


def family(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in family(pid))


async def is_ready(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    with closing(writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        return b" 200 " in await reader.readline()


def load(
    port: int, target: Target, users: Sequence[str], clients: int, seconds: float
) -> dict[str, float]:
    """What wrk says: requests, seconds, p50, p99.

    Raises:
        SystemExit: an answer was no 200, or wrk failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "ask.lua"
        ids = ",".join(json.dumps(user) for user in users)
        script.write_text(LUA.format(ids=ids, path=target.path, body=target.body))
        url = f"http://127.0.0.1:{port}"
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}", "-s", str(script), url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"^FOUND (.*)$", done.stdout, re.MULTILINE)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"{target.name}: {done.stdout}{done.stderr}")
    names = ("requests", "seconds", "p50", "p99")
    return dict(zip(names, map(float, found[1].split()), strict=True))


def measure(target: Target, port: int, pid: int, users: Sequence[str], seconds: float) -> list[Row]:
    rows = []
    load(port, target, users, 8, 2)  # warm
    for clients in CLIENTS:
        before = cpu_seconds(pid)
        found = load(port, target, users, clients, seconds)
        cpu = (cpu_seconds(pid) - before) / found["requests"]
        rate = found["requests"] / found["seconds"]
        rows.append(Row(target.name, clients, rate, found["p50"], found["p99"], cpu))
    return rows


def generate(folder: Path, n_items: int) -> tuple[str, str]:
    """Register a model of this size that is made, not trained; tracking URI and model URI.

    Items lie around centres and users like three of these. Vectors without any neighbourhood are
    no catalogue, and none for an index: with a quarter of the lists recall@10 would be 0.87.
    """
    import numpy as np
    import torch

    from hpo.registry.model_store import manifest_tag
    from recsys.artifacts import checkpoint
    from recsys.artifacts.mlflow_client import experiment_id, open_client
    from recsys.artifacts.mlflow_run import log_checkpoint, open_run
    from recsys.config import TrainConfig
    from recsys.data.interactions import Interactions
    from recsys.data.splitting import split
    from recsys.models.two_tower import new_model
    from recsys.retrieval.index_builder import build_index, is_good_enough, pays
    from recsys.retrieval.recommender import Recommender

    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(GENERATED_USERS), 50)
    centres = rng.standard_normal((n_items // ITEMS_OF_CENTRE + 1, DIM))
    liked = rng.integers(0, len(centres), (GENERATED_USERS, 3))[
        users, rng.integers(0, 3, len(users))
    ]
    items = (liked * ITEMS_OF_CENTRE + rng.integers(0, ITEMS_OF_CENTRE, len(users))) % n_items
    ids = [str(i) for i in range(GENERATED_USERS)], [str(i) for i in range(n_items)]
    data = Interactions.from_codes(users, items, np.arange(len(users)), None, *ids)
    model = new_model(data, TrainConfig(dim=DIM), torch.device("cpu"))
    around = centres[np.arange(n_items) // ITEMS_OF_CENTRE]
    around += SPREAD * rng.standard_normal(around.shape)
    with torch.no_grad():
        for table in (model.items, model.recent_items, model.whole_items):
            table.copy_(torch.from_numpy(around))
        model.bias.copy_(torch.from_numpy(0.2 * rng.standard_normal(n_items)))
    index = build_index(Recommender(model, data)) if pays(n_items) else None
    if index is not None:
        kept = is_good_enough(index)
        print("answers come from" if kept else "answers are exact: too low for", index.facts)
        index = index if kept else None
    about = checkpoint.origin("generated", split(data))
    checkpoint.save(folder / "model", model, data, about, index=index)
    uri = f"sqlite:///{(folder / 'mlflow.db').as_posix()}"
    mlflow = open_client(uri)
    with open_run(mlflow, experiment_id(mlflow, "generated"), "generated", {}) as run:
        log_checkpoint(mlflow, run, folder / "model")
    tags = manifest_tag(folder / "model")
    mlflow.create_registered_model("generated")
    mlflow.create_model_version("generated", "unused", run, tags)
    return uri, "models:/generated/1"


def user_ids(model: str, tracking_uri: str) -> list[str]:
    from hpo.registry.model_store import ModelStore, Reference

    store = ModelStore(tracking_uri)
    return list(store.load(store.resolve(Reference.parse(model))).history.user_ids)


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'':20} clients  requests/s   p50 ms   p99 ms  CPU us/request"]
    lines += [
        f"{row.name:20} {row.clients:7}  {row.rate:10.0f} {row.p50 * 1e3:8.2f} "
        f"{row.p99 * 1e3:8.2f} {row.cpu * 1e6:15.0f}"
        for row in rows
    ]
    by = {(row.name, row.clients): row for row in rows}
    for clients in CLIENTS:
        if theirs := by.get((MLFLOW, clients)):
            times = [f"{by[name, clients].rate / theirs.rate:.1f}" for name in OURS]
            lines.append(f"{clients:3} clients: {times[0]} times the requests/s, new {times[1]}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracking-uri", default="sqlite:///studies/mlflow.db")
    parser.add_argument("--model", default="models:/two-tower@champion")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load for each line")
    parser.add_argument("--generate", type=int, metavar="ITEMS", help="hpo.serve alone, on this")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; Debian: apt-get install wrk")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("RECSYS_CACHE", folder)
        uri, model = options.tracking_uri, options.model
        if options.generate:
            uri, model = generate(Path(folder), options.generate)
        users = user_ids(model, uri)
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": programs, "OMP_NUM_THREADS": "1"}
        if len(cores) > 1:
            os.sched_setaffinity(0, cores[1:])
        rows = []
        for target in targets(model, uri, port)[: 2 if options.generate else 3]:
            with started(target, port, env, cores) as pid:
                rows += measure(target, port, pid, users, options.seconds)
    print(table(rows))


if __name__ == "__main__":
    main()
