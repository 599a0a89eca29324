"""Pruning rules on curves that the launcher holds in memory; `PrunerConfig` has their options.

Optuna's pruners read all trials again at every report: 8 ms of CPU at 50 trials, and growing,
where an epoch may take 80. The launcher is the only writer, so it knows all curves already. The
state of a rule follows from the stored trials alone, so a resumed study decides like one that
never stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hpo.config import StudyConfig
from hpo.search.forecast import ForecastRule
from hpo.search.halving import HalvingRule, HyperbandRule
from hpo.search.percentile import PatientRule, PercentileRule


class PruningRule(Protocol):
    """A rule that judges trials by their curves: the values of epochs 1, 2, ..., maximized."""

    def add(self, number: int, values: Sequence[float], complete: bool) -> None:
        """Register a trial that has ended, or that a previous launcher left unfinished.

        Args:
            number: number of the trial.
            values: values of the trial's epochs 1, 2, ...
            complete: True if the trial ended by itself; False if it was pruned, failed or stopped.
        """

    def discard(self, number: int) -> None:
        """Forget an ended trial that may not win, so that it prunes none of those that may.

        Args:
            number: number of the trial.
        """

    def is_hopeless(self, number: int, values: Sequence[float]) -> bool:
        """Return True if a running trial should be pruned; called after each epoch, in order.

        Args:
            number: number of the trial.
            values: values of the trial's epochs so far, at least one.
        """


class NoRule:
    """A rule that prunes no trial."""

    def add(self, number: int, values: Sequence[float], complete: bool) -> None:
        """Ignore the trial.

        Args:
            number: number of the trial.
            values: values of the trial's epochs 1, 2, ...
            complete: True if the trial is COMPLETE.
        """

    def discard(self, number: int) -> None:
        """Do nothing: a trial counts only once it is added.

        Args:
            number: number of the trial.
        """

    def is_hopeless(self, number: int, values: Sequence[float]) -> bool:
        """Return False.

        Args:
            number: number of the trial.
            values: values of the trial's epochs so far.
        """
        return False


def pruning_rule(study: StudyConfig, study_name: str) -> PruningRule:  # noqa: PLR0911
    """Return the pruning rule that the study's config names.

    Args:
        study: the study's config.
        study_name: name of the study; hyperband draws the trials' brackets from it, as Optuna does.
    """
    config = study.pruner
    median = PercentileRule(50.0, config.startup, config.warmup)
    match config.name:
        case "none":
            return NoRule()
        case "median":
            return median
        case "percentile":
            return PercentileRule(config.keep, config.startup, config.warmup)
        case "patient":
            return PatientRule(median, config.patience)
        case "asha":
            return HalvingRule(config.warmup, config.reduction)
        case "hyperband":
            epochs = study.space.get("epochs")
            most = max(epochs.values) if epochs else study.train_config.epochs
            return HyperbandRule(config.warmup, int(most), config.reduction, study_name)
        case "forecast":
            return ForecastRule(config.share, config.startup, config.warmup)
