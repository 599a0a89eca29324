"""Small recommenders of a user's own: popularity with a noise that fades from epoch to epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recsys import EpochResult, Evaluator, Holdout, Hyperparameters, within


@dataclass(frozen=True)
class PopularConfig(Hyperparameters):
    noise: float = within(0.5, low=0.0, high=10.0)
    steps: int = within(2, low=1, high=8)
    epochs: int = within(3, low=1, high=500)
    seed: int = within(0, low=0, high=2**31 - 1)


class Counts:
    def __init__(self, values: npt.NDArray[np.float64]) -> None:
        self.values = values

    def scores(self, users: Tensor) -> Tensor:
        return torch.as_tensor(self.values, dtype=torch.float32).repeat(len(users), 1)


def counts(holdout: Holdout, config: PopularConfig, epoch: int) -> Counts:
    popular = np.bincount(holdout.seen.items, minlength=holdout.seen.n_items)
    noise = np.random.default_rng(config.seed).random(len(popular)) * popular.max()
    return Counts(popular + config.noise / epoch * noise)


class Popular:
    """The least that a model needs."""

    config = PopularConfig

    def epochs(self, holdout: Holdout, config: PopularConfig) -> Iterator[EpochResult]:
        for epoch in range(1, config.epochs + 1):
            scores = Evaluator(holdout).evaluate(counts(holdout, config, epoch))
            yield EpochResult(epoch, 1.0 / epoch, scores.mean())


class Scored(Popular):
    """It is told which metrics are wanted, and can be compared; NumPy's scores will do."""

    def epochs(  # type: ignore[override]
        self, holdout: Holdout, config: PopularConfig, names: Sequence[str], device: str
    ) -> Iterator[EpochResult]:
        assert device == "cpu"
        for epoch in range(1, config.epochs + 1):
            scores = Evaluator(holdout, names=names).evaluate(counts(holdout, config, epoch))
            yield EpochResult(epoch, 1.0 / epoch, scores.mean())

    def scorer(self, holdout: Holdout, config: PopularConfig, epochs: int) -> InNumpy:
        return InNumpy(counts(holdout, config, epochs))


class InNumpy:
    def __init__(self, inner: Counts) -> None:
        self._inner = inner

    def scores(self, users: Tensor) -> npt.NDArray[np.float64]:
        return np.repeat(self._inner.values[None], len(users), axis=0)


class Resuming(Popular):
    """A parked training goes on; it writes each epoch that it really trains into a file."""

    def epochs(self, holdout: Holdout, config: PopularConfig) -> Resumed:  # type: ignore[override]
        return Resumed(super().epochs(holdout, config))


class Resumed:
    def __init__(self, epochs: Iterator[EpochResult]) -> None:
        self._epochs, self._n = epochs, 0
        self.repeated = 0

    def __iter__(self) -> Iterator[EpochResult]:
        for result in self._epochs:
            self._n = result.epoch
            yield result

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self._n), encoding="utf-8")

    def resume(self, path: Path) -> None:
        self.repeated = json.loads(path.read_text(encoding="utf-8"))


class Failing(Popular):
    def epochs(self, holdout: Holdout, config: PopularConfig) -> Iterator[EpochResult]:
        yield next(super().epochs(holdout, config))
        raise ZeroDivisionError("the second sweep broke")
