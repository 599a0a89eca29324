"""Index of trained and running configurations, so that none is trained twice."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

from hpo.study import COUNTED, Outcome
from recsys.config import Hyperparameters

OF_LIMITS = ("infeasible", "time-limit")  # limits may change, so such a config may run again


def is_final(trial: FrozenTrial, outcome: Outcome | None, pruner: str) -> bool:
    """Return True if a trial's result can be reused for the same config under the current pruner.

    It cannot if a limit ended the trial, or if a pruner did and the study now has none.

    Args:
        trial: the trial.
        outcome: the trial's outcome; None if it has none.
        pruner: name of the current pruner.
    """
    if trial.state not in COUNTED or outcome is None or outcome.cause in OF_LIMITS:
        return False
    cut_short = trial.state is TrialState.PRUNED and outcome.cause is None
    return not (cut_short and pruner == "none")


class ConfigIndex:
    """Index of configurations regardless of their seeds. Not thread-safe: the ledger has a lock."""

    def __init__(self) -> None:
        self._trained: dict[Hyperparameters, FrozenTrial] = {}
        self._training: dict[Hyperparameters, int] = {}

    def add(self, config: Hyperparameters, trial: FrozenTrial) -> None:
        """Register a trial as the result of a config; the first trial of a config counts.

        Args:
            config: configuration of the trial.
            trial: a trial with a final result, see `is_final`.
        """
        self._trained.setdefault(config.replace(seed=0), trial)

    def trial(self, config: Hyperparameters) -> FrozenTrial | None:
        """Return the trial with the result of a config; None if there is none."""
        return self._trained.get(config.replace(seed=0))

    def claim(self, config: Hyperparameters, number: int) -> bool:
        """Reserve a config for one trial; return True unless another trial has reserved it.

        Args:
            config: configuration to train.
            number: number of the trial.
        """
        return self._training.setdefault(config.replace(seed=0), number) == number

    def release(self, config: Hyperparameters, number: int) -> None:
        """Give up a trial's reservation of a config, if it has one.

        Args:
            config: configuration of the trial.
            number: number of the trial.
        """
        if self._training.get(config.replace(seed=0)) == number:
            del self._training[config.replace(seed=0)]
