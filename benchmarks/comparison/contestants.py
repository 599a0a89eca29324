"""Trains a peer, here or in its own environment, and hands back something that can be scored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from comparison.graph_models import user_item_matrix
from comparison.roster import Environment, Model
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout
from recsys.evaluation.evaluator import Evaluator
from recsys.evaluation.metrics import UserMetrics

DRIVERS = Path(__file__).parent / "drivers"


class TrainingFailed(Exception):
    """A library refused this configuration."""


@dataclass(frozen=True)
class Trained:
    """What one training left.

    Attributes:
        arrays: `scores` (n_users, n_items), or the vectors `users` and `items`.
        cpu: CPU seconds of the training, all threads.
        versions: of the libraries that did it.
        elsewhere: whether another process did it.
    """

    arrays: Mapping[str, np.ndarray]
    cpu: float
    versions: Mapping[str, str]
    elsewhere: bool


class Contestant(Protocol):
    def train(
        self,
        seen: Interactions,
        params: Mapping[str, Any],
        seed: int,
        history: Interactions | None = None,
    ) -> Trained:
        """Learn from `seen`, then score all items by `history`: what users have when asked.

        None: the same as `seen`. Another one is for models with `train_only`.
        """


class _MatrixScorer:
    def __init__(self, scores: np.ndarray) -> None:
        self._scores = torch.from_numpy(scores)

    def scores(self, users: torch.Tensor) -> torch.Tensor:
        return self._scores[users]  # a copy: the caller writes into it


class _VectorScorer:
    def __init__(self, users: np.ndarray, items: np.ndarray) -> None:
        self._users, self._items = torch.from_numpy(users), torch.from_numpy(items)

    def scores(self, users: torch.Tensor) -> torch.Tensor:
        return self._users[users] @ self._items.T


def measure(trained: Trained, holdout: Holdout) -> UserMetrics:
    """The same metric code for all, ours included."""
    arrays = trained.arrays
    if "scores" in arrays:
        scorer: _MatrixScorer | _VectorScorer = _MatrixScorer(arrays["scores"])
    else:
        scorer = _VectorScorer(arrays["users"], arrays["items"])
    return Evaluator(holdout, torch.device("cpu")).evaluate(scorer)


class Local:
    """A model of this folder, trained in this process."""

    def __init__(self, model: Model) -> None:
        assert model.fit is not None
        self._fit = model.fit

    def train(
        self,
        seen: Interactions,
        params: Mapping[str, Any],
        seed: int,
        history: Interactions | None = None,
    ) -> Trained:
        assert history is None
        del seed  # none of them draws anything
        begin = time.process_time()
        scores = self._fit(seen, params)
        versions = {"numpy": np.__version__, "torch": torch.__version__}
        return Trained({"scores": scores}, time.process_time() - begin, versions, elsewhere=False)


class Remote:
    """A model of a library, trained by a driver in the library's own environment."""

    def __init__(self, name: str, process: subprocess.Popen[str], folder: Path) -> None:
        self._name, self._process, self._folder = name, process, folder
        self._files: dict[int, tuple[Interactions, Path]] = {}

    def train(
        self,
        seen: Interactions,
        params: Mapping[str, Any],
        seed: int,
        history: Interactions | None = None,
    ) -> Trained:
        out = self._folder / "out.npz"
        request = {
            "train": str(self._written(seen)),
            "history": str(self._written(history or seen)),
            "params": {"model": self._name, **params},
            "seed": seed,
            "out": str(out),
        }
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._name}: its driver ended with {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise TrainingFailed(answer["error"])
        with np.load(out) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        return Trained(found, answer["cpu"], answer["versions"], elsewhere=True)

    def _written(self, seen: Interactions) -> Path:
        if id(seen) not in self._files:
            path = self._folder / f"train-{len(self._files)}.npz"
            pairs = user_item_matrix(seen, "count").tocoo()
            np.savez(
                path,
                n_users=seen.n_users,
                n_items=seen.n_items,
                users=pairs.row,
                items=pairs.col,
                binary=np.ones_like(pairs.data),
                count=pairs.data,
                log=np.log1p(pairs.data),
                row_users=seen.users,
                row_items=seen.items,
                row_order=np.arange(len(seen)),
            )
            self._files[id(seen)] = seen, path  # holds `seen`, so that its id stays taken
        return self._files[id(seen)][1]


@contextmanager
def contestant(model: Model, envs: Path, folder: Path) -> Iterator[Contestant]:
    """The peer, ready to train; its environment is made where it is not there yet."""
    if model.environment is None:
        yield Local(model)
        return
    python = _python(model.environment, envs)
    command = [str(python), str(DRIVERS / model.environment.driver)]
    environ = {**os.environ, "PYTHONWARNINGS": "ignore", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        try:
            yield Remote(model.name, process, folder)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait()


def _python(environment: Environment, envs: Path) -> Path:
    """The interpreter of an environment, made with the packages it needs."""
    folder = envs / environment.name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "packages.txt"
    wanted = "\n".join(environment.packages)
    if not done.exists() or done.read_text() != wanted:
        print(f"making {folder} with {', '.join(environment.packages)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", *environment.packages], check=True
        )
        done.write_text(wanted)
    return python
