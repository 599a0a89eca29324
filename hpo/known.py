"""Which configurations were trained, and which are being trained: none is trained twice."""

from __future__ import annotations

from optuna.trial import FrozenTrial

from recsys.config import TrainConfig


class Known:
    """Configurations without their seeds. Not thread-safe: `hpo.ledger` holds a lock."""

    def __init__(self) -> None:
        self._trained: dict[TrainConfig, FrozenTrial] = {}
        self._training: dict[TrainConfig, int] = {}

    def add(self, config: TrainConfig, trial: FrozenTrial) -> None:
        """The trial has shown what the config is worth; the first one counts."""
        self._trained.setdefault(config.replace(seed=0), trial)

    def trial(self, config: TrainConfig) -> FrozenTrial | None:
        """The one that has trained it; None if none has."""
        return self._trained.get(config.replace(seed=0))

    def claim(self, config: TrainConfig, number: int) -> bool:
        """Whether trial `number` may train it from now on; False: another one does."""
        return self._training.setdefault(config.replace(seed=0), number) == number

    def release(self, config: TrainConfig, number: int) -> None:
        """Trial `number` no longer trains it."""
        if self._training.get(config.replace(seed=0)) == number:
            del self._training[config.replace(seed=0)]
