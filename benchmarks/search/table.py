"""Recorded curves as a problem to search: the replay of a training costs nothing."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

FEWEST_A_NEIGHBOUR = 75  # a drawn neighbour must be near


@dataclass(frozen=True)
class Curve:
    """One training.

    Attributes:
        values: recall@10 of each epoch.
        seconds: CPU seconds of each epoch.
        setup: CPU seconds before the first epoch.
    """

    values: list[float]
    seconds: list[float]
    setup: float

    def cut(self, epochs: int) -> Curve:
        return Curve(self.values[:epochs], self.seconds[:epochs], self.setup)


class Table:
    """The recorded configs of one data set.

    A config that a sampler suggests gets the curve of one of the `k` nearest recorded ones, in
    the searched scale of each parameter, drawn by the trial's own generator: so two trials with
    about the same config differ as two seeds would. `epochs` cuts the curve off, exactly.
    `k` is 4 for 300 configs, 2 for 150 and 1 for fewer than that.
    """

    def __init__(self, path: Path, scales: dict[str, tuple[float, float, bool]]) -> None:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        self._scales = scales
        self._points = np.array([self._place(row["params"]) for row in rows])
        self.curves = [Curve(row["values"], row["seconds"], row["setup"]) for row in rows]
        self._k = max(1, len(rows) // FEWEST_A_NEIGHBOUR)

    def _place(self, params: dict[str, float]) -> list[float]:
        """Each searched parameter in 0..1."""
        found = []
        for name, (low, high, log) in self._scales.items():
            value, ends = params[name], (low, high)
            if log:
                value, ends = math.log(value), (math.log(low), math.log(high))
            found.append((value - ends[0]) / (ends[1] - ends[0]))
        return found

    def curve(self, params: dict[str, float], generator: np.random.Generator) -> Curve:
        far = ((self._points - self._place(params)) ** 2).sum(1)
        nearest = np.argsort(far, kind="stable")[: self._k]
        return self.curves[int(generator.choice(nearest))].cut(int(params["epochs"]))

    def full_cost(self, low: int, high: int) -> float:
        """Mean CPU seconds of a trial that nobody prunes, `epochs` drawn from low..high."""
        costs = [
            curve.setup + sum(curve.seconds[:epochs])
            for curve in self.curves
            for epochs in range(low, high + 1, 5)
        ]
        return float(np.mean(costs))

    def expected(self, params: dict[str, float]) -> float:
        """The best epoch's recall@10 of this config, without the luck of its seed.

        The mean of a Gaussian process over the recorded configs, at this number of epochs.
        """
        return self._expected(tuple(self._place(params)), int(params["epochs"]))

    @lru_cache(maxsize=100_000)  # noqa: B019 -- one table lives as long as the program
    def _expected(self, place: tuple[float, ...], epochs: int) -> float:
        process, mean = self._process(epochs)
        return float(process.predict(np.array([place]))[0]) + mean

    @lru_cache(maxsize=100)  # noqa: B019
    def _process(self, epochs: int) -> tuple[GaussianProcessRegressor, float]:
        best = np.array([max(curve.values[:epochs]) for curve in self.curves])
        process = GaussianProcessRegressor(self._kernel, optimizer=None)
        return process.fit(self._points, best - best.mean()), float(best.mean())

    @cached_property
    def _kernel(self) -> ConstantKernel:
        """Scale, lengths and noise that fit the whole curves best."""
        best = np.array([max(curve.values) for curve in self.curves])
        n = self._points.shape[1]
        kernel = ConstantKernel(best.var(), (1e-8, 1.0)) * Matern(
            np.ones(n), (0.1, 10.0), nu=2.5
        ) + WhiteKernel(best.var() / 4, (1e-8, 1.0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length at its bound is an answer, too
            fitted = GaussianProcessRegressor(kernel, n_restarts_optimizer=3, random_state=0)
            fitted.fit(self._points, best - best.mean())
        return fitted.kernel_
