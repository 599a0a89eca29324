"""A small trained model, made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import Split, split
from recsys.models.two_tower import TwoTower
from recsys.training.epoch import EpochResult
from recsys.training.fit import Fit
from tests.support.examples import conveyor

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
