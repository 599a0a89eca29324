"""ALS of the package implicit (pip install implicit) as a model that hpo tunes; see als.toml."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from torch import Tensor

from recsys import EpochResult, Evaluator, Holdout, Hyperparameters, within


@dataclass(frozen=True)
class AlsConfig(Hyperparameters):
    factors: int = within(64, low=1, high=512)
    regularization: float = within(0.01, low=0.0, high=1000.0)
    alpha: float = within(10.0, low=0.1, high=1000.0)
    epochs: int = within(10, low=1, high=100)
    seed: int = within(0, low=0, high=2**31 - 1)


class Scores:
    def __init__(self, model: AlternatingLeastSquares) -> None:
        self.users, self.items = model.user_factors, model.item_factors

    def scores(self, users: Tensor) -> Tensor:
        return Tensor(self.users[users.numpy()] @ self.items.T)


class Als:
    config = AlsConfig

    def epochs(
        self, holdout: Holdout, config: AlsConfig, names: Sequence[str]
    ) -> Iterator[EpochResult]:
        evaluator = Evaluator(holdout, names=names)
        for epoch, scores in enumerate(self.sweeps(holdout, config), start=1):
            yield EpochResult(epoch, 0.0, evaluator.evaluate(scores).mean())

    def scorer(self, holdout: Holdout, config: AlsConfig, epochs: int) -> Scores:
        return next(islice(self.sweeps(holdout, config), epochs - 1, None))

    def sweeps(self, holdout: Holdout, config: AlsConfig) -> Iterator[Scores]:
        seen = holdout.seen
        shape = (seen.n_users, seen.n_items)
        matrix = csr_matrix((np.ones(len(seen), np.float32), (seen.users, seen.items)), shape)
        model = AlternatingLeastSquares(
            config.factors, config.regularization, config.alpha,
            iterations=1, num_threads=1, random_state=config.seed,
        )  # fmt: skip
        for _ in range(config.epochs):
            model.fit(matrix, show_progress=False)  # goes on from the factors that it has
            yield Scores(model)
