"""The protocols of a recommender of the user's own, and of one training of any model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.config import Hyperparameters
    from recsys.data import Holdout
    from recsys.training import EpochResult


class Trainable(Protocol):
    """A recommender that a study can tune: a class without arguments, in a module of its own.

    Two further methods are optional. `scorer(holdout, config, epochs)` returns the model after so
    many epochs as a `Scorer`, so that the report can compare it with the baselines. And if the
    object that `epochs` returns has `save(path)` and `resume(path)`, parked trials go on where they
    were; a resumed training first yields its earlier epochs again.
    """

    @property
    def config(self) -> type[Hyperparameters]:
        """Return the class of the hyperparameters, with their defaults and ranges."""
        ...

    def epochs(self, holdout: Holdout, config: Any) -> Iterable[EpochResult]:
        """Train on `holdout.seen`, and yield after each epoch its scores on `holdout.relevant`.

        If the method has a parameter `names`, it is given the metrics that the study asks for; if
        it has a parameter `device`, the torch device of the worker.

        Args:
            holdout: history to train on and relevant items to score with.
            config: all hyperparameters of the training, an instance of the class `config`.
        """
        ...


class ModelTraining(Protocol):
    """One training of a model: iterate over it to train."""

    def __iter__(self) -> Iterator[EpochResult]:
        """Yield each epoch as it ends; a resumed training yields its earlier epochs again."""
        ...

    def save(self, path: Path) -> None:
        """Write what the next epochs depend on into a file."""
        ...

    def resume(self, path: Path) -> None:
        """Continue from a file of `save`.

        Raises:
            CheckpointError: the file cannot be read; the training is of no use any more.
        """
        ...
