"""Running the real commands in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
import psutil
from optuna.storages import RDBStorage

from hpo.errors import StudyError
from hpo.study.lifecycle import load_newest
from hpo.study.storage import existing_storage
from tests.support.examples import conveyor
from tests.support.mlflow_server import eventually
from tests.support.paths import ROOT

PATIENCE_SECONDS = 120.0  # until a study has its first epoch; only ends a broken test


def shop(folder: Path) -> Path:
    """A small CSV with structure: 60 users, 30 items."""
    log = conveyor()
    rows = zip(log.users, log.items, log.times if log.times is not None else [], strict=True)
    lines = [f"{log.user_ids[u]},{log.item_ids[i]},{time // 1_000_000}" for u, i, time in rows]
    path = folder / "interactions.csv"
    path.write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n", encoding="utf-8")
    return path


def split_shop(folder: Path) -> Path:
    """The same rows as a ready-made split: everybody's last two are test."""
    lines = shop(folder).read_text(encoding="utf-8").splitlines()
    (folder / "interactions.csv").unlink()
    parts = folder / "parts"
    parts.mkdir()
    rows = enumerate(lines[1:])
    test = [line for row, line in rows if row % 12 >= 10]
    train = [line for line in lines[1:] if line not in set(test)]
    for name, part in (("train", train), ("test", test)):
        (parts / f"{name}.csv").write_text("\n".join([lines[0], *part]) + "\n", encoding="utf-8")
    return parts


def study_file(folder: Path, *, epochs: int = 5, n_trials: int = 4, pruner: str = "none") -> Path:
    """Trials of exactly `epochs` epochs."""
    path = folder / "tiny.toml"
    path.write_text(
        f"n_trials = {n_trials}\n"
        f"[base]\ndim = 8\nepochs = {epochs}\npatience = {epochs}\n"
        "[space]\n"
        "dim = { low = 4, high = 16, log = true }\n"
        "lr = { low = 0.001, high = 0.1, log = true }\n"
        f'[pruner]\nname = "{pruner}"\n',
        encoding="utf-8",
    )
    return path


def environment(**values: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return {**env, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **values}


def start(module: str, *arguments: object, cwd: Path, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def run(module: str, *arguments: object, cwd: Path, **env: str) -> tuple[int, str, str]:
    return finish(start(module, *arguments, cwd=cwd, **env))


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The living worker processes of a launcher."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "hpo.runners.worker" in child.cmdline()]
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def storage_in(folder: Path) -> str:
    """URL of the storage that a command run in the folder uses by default."""
    return f"sqlite:///{(folder / 'studies/optuna.db').as_posix()}"


def study_in(folder: Path, name: str | None = None) -> optuna.Study:
    return load_newest(existing_storage(storage_in(folder)), name, print)


@contextmanager
def in_mid_training(process: subprocess.Popen[str], storage: str) -> Iterator[list[psutil.Process]]:
    """The workers of a launcher, each in the middle of a training.

    While the body runs, launcher and workers are suspended: what is done to them comes before
    anything that they do next, however slow or fast the machine.
    """
    reader = _Epochs(storage)
    before = {number: n for number, n, _ in reader.read()}
    held: list[psutil.Process] = []

    def n_in_training() -> int:
        """Trials with epochs of now: one that was parked has those from before."""
        return sum(running and n > before.get(number, 0) for number, n, running in reader.read())

    def is_held() -> bool:
        assert process.poll() is None, "it ended before it was seen in training"
        if not n_in_training():
            return False
        held[:] = [psutil.Process(process.pid), *workers_of(process)]
        _each(held, "suspend")
        if 0 < n_in_training() == len(held) - 1:
            return True
        _each(held, "resume")
        return False

    try:
        eventually(is_held, PATIENCE_SECONDS, 0.05)
        yield held[1:]
    finally:
        _each(held, "resume")


def _each(processes: list[psutil.Process], action: str) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            getattr(process, action)()


class _Epochs:
    """Reader of a storage that is polled: it opens the storage once, so it has one connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._storage: RDBStorage | None = None

    def read(self) -> list[tuple[int, int, bool]]:
        """Return each trial's number, its number of epochs, and True if it runs."""
        try:
            self._storage = self._storage or existing_storage(self._url)
            trials = load_newest(self._storage, None, print).trials
        except StudyError:
            return []  # the file is not there yet, or the study
        return [(t.number, len(t.intermediate_values), t.state.name == "RUNNING") for t in trials]
