"""Recommenders of a user's own that are hard on their worker: processes, odd numbers, bad files."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recsys import EpochResult, Holdout
from recsys.evaluation import Metrics
from tests.support.own_model import Popular, PopularConfig, Resumed

FOR_EVER = 600.0


def waiting(leaves_group: bool = False) -> None:
    """Wait as a helper that nobody ends."""
    if leaves_group:
        os.setsid()
    time.sleep(FOR_EVER)


class Forking(Popular):
    """It computes in children made by a fork, and ends one of them."""

    def epochs(self, holdout: Holdout, config: PopularConfig) -> Iterator[EpochResult]:
        fork = multiprocessing.get_context("fork")
        with fork.Pool(1) as pool:
            for result in super().epochs(holdout, config):
                helper = fork.Process(target=waiting)
                helper.start()
                helper.terminate()
                helper.join()
                assert pool.map(abs, [-1, 2]) == [1, 2]
                yield result


class Lingering(Popular):
    """Each epoch's loss is the id of a child that holds the worker's pipes and never ends."""

    leaves_group = False

    def epochs(self, holdout: Holdout, config: PopularConfig) -> Iterator[EpochResult]:
        helper = multiprocessing.get_context("fork").Process(
            target=waiting, args=(self.leaves_group,)
        )
        helper.start()
        assert helper.pid
        for result in super().epochs(holdout, config):
            yield EpochResult(result.epoch, helper.pid, result.metrics)


class Leaving(Lingering):
    leaves_group = True


class InNumPy(Popular):
    """Its numbers are those of NumPy and torch."""

    def epochs(self, holdout: Holdout, config: PopularConfig) -> Iterator[EpochResult]:
        for result in super().epochs(holdout, config):
            means: dict[str, Any] = {
                name: np.float32(value)
                for name, value in vars(result.metrics).items()
                if name not in ("n_users", "more")
            }
            users, more = np.int64(result.metrics.n_users), {"map_at_7": torch.tensor(0.5)}
            metrics = Metrics(**means, n_users=users, more=more)  # type: ignore[arg-type]
            loss: Any = torch.tensor(result.train_loss)
            yield EpochResult(np.int64(result.epoch), loss, metrics, np.float32(2.0))  # type: ignore[arg-type]


class Torn(Popular):
    """It cannot read what it saved, and has then changed already."""

    def epochs(self, holdout: Holdout, config: PopularConfig) -> Resumed:  # type: ignore[override]
        return _Torn(super().epochs(holdout, config))


class _Torn(Resumed):
    def resume(self, path: Path) -> None:
        next(self._epochs)
        super().resume(path)


class NanInNumPy(Popular):
    def epochs(self, holdout: Holdout, config: PopularConfig) -> Iterator[EpochResult]:
        first, second, *_ = super().epochs(holdout, config)
        yield first
        yield EpochResult(2, np.float32("nan"), second.metrics)
