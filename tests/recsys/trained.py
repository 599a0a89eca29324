"""A small trained model, made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from recsys.config import TrainConfig
from recsys.epoch_result import EpochResult
from recsys.fit import Fit
from recsys.interactions import Interactions
from recsys.model import TwoTower
from recsys.split import Split, split
from tests.examples import conveyor

CONFIG = TrainConfig(dim=8, lr=0.05, epochs=3, seed=1)


@dataclass(frozen=True, eq=False)
class Trained:
    parts: Split
    model: TwoTower
    results: list[EpochResult]

    @property
    def history(self) -> Interactions:
        return self.parts.train


@cache
def trained() -> Trained:
    """A tower that has learned from the conveyor's train part."""
    return train(conveyor())


def train(data: Interactions) -> Trained:
    parts = split(data)
    fit = Fit(parts.tuning, CONFIG, torch.device("cpu"))
    results = list(fit)
    return Trained(parts, fit.model, results)
