"""Trainings: an iterator of epochs that keeps the best one, and a fixed number of epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.data import Holdout, Interactions
from recsys.errors import CheckpointError, DivergedError, ScoreError
from recsys.evaluation import Evaluator, MetricName, TowerScorer
from recsys.messages import nothing
from recsys.models import TwoTower, new_model
from recsys.training.distillation import Teachers, teacher_seeds
from recsys.training.epoch import EpochResult
from recsys.training.resources import peak_gpu_mb, peak_resident_mb, torch_threads, useful_threads
from recsys.training.snapshot import load_snapshot, save_snapshot
from recsys.training.trainer import Trainer


class Fit:
    """A training on `holdout.seen` that scores each epoch on `holdout.relevant`.

    Iterate over it to train; a resumed training first yields the epochs before the interruption
    again. After any epoch, `model` has the weights of the best epoch so far.

    Args:
        holdout: history to train on and relevant items to score with.
        config: all hyperparameters.
        device: device of the training, by its torch name or as a torch device.
        objective: the metric that decides which epoch is best.
        cutoffs: cut-offs of further rankings to measure.

    Attributes:
        best: the best epoch so far; None before the first.

    Example:
        import recsys

        parts = recsys.split(recsys.load_dataset("demo"))
        fit = recsys.Fit(parts.tuning, recsys.TrainConfig(dim=16, epochs=2))
        for result in fit:
            print(result.epoch, result.metrics.recall_at_10)
        recommender = recsys.Recommender(fit.model, parts.train)
    """

    def __init__(
        self,
        holdout: Holdout,
        config: TrainConfig,
        device: torch.device | str = "cpu",
        objective: MetricName = "recall_at_10",
        cutoffs: Iterable[int] = (),
    ) -> None:
        device = torch.device(device)
        self._config, self._device, self._objective = config, device, objective
        self._seen = holdout.seen
        self._trainer = Trainer(holdout.seen, config, device)
        self._evaluator = Evaluator.with_exposure(holdout, device, objective, tuple(cutoffs))
        self.best: EpochResult | None = None
        self._results: list[EpochResult] = []
        self._best_weights: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[EpochResult]:
        yield from self._results.copy()
        self._check_whole()
        while self._trainer.epoch < self._config.epochs and not self._patience_is_over():
            self._check_whole()
            start, cpu_start = time.perf_counter(), time.process_time()
            loss = self._trainer.train_epoch()
            trained = time.perf_counter()
            scorer = TowerScorer(self._trainer.model, self._seen)
            try:
                metrics = self._evaluator.evaluate(scorer).mean()
            except ScoreError as error:  # weights that the last steps made NaN
                raise DivergedError(self._trainer.epoch, 0, math.nan) from error
            now = time.perf_counter()
            result = EpochResult(
                self._trainer.epoch,
                loss,
                metrics,
                seconds=now - start,
                evaluation_seconds=now - trained,
                cpu_seconds=time.process_time() - cpu_start,
                memory_mb=peak_resident_mb(),
                gpu_memory_mb=peak_gpu_mb(self._device),
            )
            self._results.append(result)
            if self.best is None or self._value(result) > self._value(self.best):
                self.best = result
                weights = self._trainer.model.named_parameters()
                self._best_weights = {name: value.detach().clone() for name, value in weights}
            yield result

    def _check_whole(self) -> None:
        """Refuse to go on from the middle of an epoch.

        Raises:
            CheckpointError: an interrupt has come between two epochs' ends.
        """
        if self._trainer.epoch != len(self._results):
            raise CheckpointError(
                f"the training was interrupted within epoch {self._trainer.epoch}; make a new Fit, "
                "and resume a snapshot of an earlier epoch if there is one"
            )

    def _value(self, result: EpochResult) -> float:
        return result.metrics.value(self._objective)

    def _patience_is_over(self) -> bool:
        """Return True if the last `config.patience` epochs brought no better one."""
        best = self.best.epoch if self.best else 0
        return self._trainer.epoch - best >= self._config.patience

    def save(self, path: Path) -> None:
        """Write everything the next epochs depend on into one file, see `recsys.training.snapshot`.

        Raises:
            CheckpointError: the file cannot be written, or no epoch has been trained.
        """
        self._check_whole()
        best = {f"best.{name}": value for name, value in self._best_weights.items()}
        save_snapshot(path, self._config, self._results, self._trainer.state() | best)

    def resume(self, path: Path) -> None:
        """Continue from a file of `save`; the next epochs are bit for bit the same on CPU.

        Raises:
            CheckpointError: the file is missing, damaged, or of another training.
        """
        results, state = load_snapshot(path, self._config)
        try:
            self._trainer.restore(state)
        except ValueError as error:
            raise CheckpointError(f"{path}: belongs to another training: {error}") from error
        self._results = results
        self.best = max(results, key=self._value)
        names = [name for name in state if name.startswith("best.")]
        device = next(self._trainer.model.parameters()).device
        self._best_weights = {name.removeprefix("best."): state[name].to(device) for name in names}

    @property
    def model(self) -> TwoTower:
        """Return a model of its own with the weights of the best epoch so far."""
        trained = self._trainer.model
        found = new_model(self._seen, self._config, self._device)
        found.load_state_dict(trained.state_dict() | self._best_weights)
        return found


def train(
    seen: Interactions,
    config: TrainConfig,
    epochs: int,
    device: torch.device,
    threads: int | None = None,
    teachers: int = 0,
    say: Callable[[str], None] = nothing,
) -> TwoTower:
    """Return a model that has learned from `seen` for exactly `epochs` epochs.

    No epoch is chosen, so there is no luck in the choice.

    Args:
        seen: interactions to learn from.
        config: hyperparameters; `epochs` and `patience` of it do not count here.
        epochs: passes over the data.
        device: device of the model.
        threads: threads of torch; their number is part of the result, since it orders the sums.
            None: as many as the model's size is worth.
        teachers: models trained beforehand in the same way, with other seeds, for this one to learn
            from as well, see `recsys.training.distillation`. Altogether this takes about
            teachers + 2 times as long, and the vectors of the teachers stay in memory.
        say: called with one line on each teacher.

    Raises:
        DivergedError: the loss is not finite, or a weight of a model.
    """
    threads = threads or useful_threads(seen.n_items, config, torch.get_num_threads())
    with torch_threads(threads):
        models = []
        for number, seed in enumerate(teacher_seeds(config.seed, teachers), 1):
            start = time.monotonic()
            like = config.replace(seed=seed, neighbour_weight=0)  # nobody asks their neighbours
            try:
                models.append(_trained(Trainer(seen, like, device), epochs))
            except DivergedError:
                say(f"teacher {number} of {teachers} diverges")
                raise
            say(f"teacher {number} of {teachers} is trained ({time.monotonic() - start:.0f} s)")
        taught = Teachers(models, seen) if models else None
        del models  # only a part of them is kept
        return _trained(Trainer(seen, config, device, taught), epochs)


def _trained(trainer: Trainer, epochs: int) -> TwoTower:
    """Return the model after so many epochs.

    Raises:
        DivergedError: the loss is not finite, or a weight of the model.
    """
    for _ in range(epochs):
        trainer.train_epoch()
    # A loss says nothing about the weights after its step, so the last weights are checked.
    if not all(bool(table.isfinite().all()) for table in trainer.model.parameters()):
        raise DivergedError(epochs, 0, math.nan)
    return trainer.model
