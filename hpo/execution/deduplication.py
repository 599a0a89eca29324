"""Which configurations were trained, and which are being trained: none is trained twice."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

from hpo.study import FINISHED, Outcome
from recsys.config import TrainConfig

OF_LIMITS = ("infeasible", "time-limit")  # limits may change: such a config is looked at anew


def is_final(trial: FrozenTrial, outcome: Outcome | None, pruner: str) -> bool:
    """Whether a trial has shown what its config is worth, with the pruner of today.

    Not so if a limit ended it, or a pruner where there is none any more.
    """
    if trial.state not in FINISHED or outcome is None or outcome.cause in OF_LIMITS:
        return False
    cut_short = trial.state is TrialState.PRUNED and outcome.cause is None
    return not (cut_short and pruner == "none")


class Known:
    """Configurations without their seeds. Not thread-safe: `hpo.execution.ledger` holds a lock."""

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
