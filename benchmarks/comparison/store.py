"""Results on disk: a line of JSON for each finished cell, the users' figures beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys.evaluation.metrics import UserMetrics

FIGURES = ("recall_at_10", "ndcg_at_10", "recall_at_20", "mrr")


@dataclass(frozen=True)
class Store:
    """Lines of several kinds; of equal ones the last holds.

    "tuned"; "tested", of a refit on train + validation, and "train-only", of weights from train
    only. "paired" and "train-only-paired" are a model's differences to ours in these two, so that
    they outlive the users' figures.

    Attributes:
        folder: of the JSON lines; small, kept in the repository.
        cache: of the users' figures, recomputable.
    """

    folder: Path
    cache: Path

    def records(self, kind: str) -> dict[tuple[str, str], dict[str, Any]]:
        """(case, model) -> record."""
        path = self.folder / f"{kind}.jsonl"
        if not path.exists():
            return {}
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {(line["case"], line["model"]): line for line in lines}

    def add(self, kind: str, record: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{kind}.jsonl").open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(record) + "\n")

    def keep_users(self, kind: str, case: str, model: str, seeds: list[UserMetrics]) -> None:
        """(n_seeds, m) of every figure."""
        path = self._users(kind, case, model)
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {name: np.stack([each.values[name] for each in seeds]) for name in FIGURES}
        compact = {name: values.astype(np.float32) for name, values in columns.items()}
        np.savez_compressed(path, users=seeds[0].users, **compact)

    def users(self, kind: str, case: str, model: str) -> dict[str, np.ndarray] | None:
        """`users`, and every figure's mean over the seeds; None if they are not here."""
        path = self._users(kind, case, model)
        if not path.exists():
            return None
        with np.load(path) as arrays:
            means = {name: arrays[name].mean(0, dtype=np.float64) for name in FIGURES}
            return {"users": arrays["users"], **means}

    def _users(self, kind: str, case: str, model: str) -> Path:
        suffix = "" if kind == "tested" else f"--{kind}"
        return self.cache / "users" / f"{case}--{model}{suffix}.npz"
