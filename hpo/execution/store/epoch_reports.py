"""The epochs of running trials: stored in groups, and followed by the decision to prune."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError

from hpo.execution.running_trial import Assignment
from hpo.execution.store.group_commit import GroupCommit, Results
from hpo.execution.store.owned_storage import EpochWrite, OwnedStorage
from hpo.search import PruningRule
from hpo.study import EPOCHS, epochs_to_columns

FLUSH_SECONDS = 2.0  # highest age of a running trial's curves, in MLflow and after kill -9
GROUP_SECONDS, MANY_TRIALS = 0.1, 32  # epochs wait for each other when many trials run


class EpochReports:
    """A study's way to store epochs: those of many trials in one transaction. **Thread-safe.**

    A transaction costs the launcher some milliseconds, however many epochs it has. With few trials
    each epoch is stored at once.

    Args:
        storage: the storage of the study.
        rule: the study's pruning rule.
        turn: calls a function when the storage is free, see `SerializedCalls.call`.
        n_running: returns the number of running trials.
    """

    def __init__(
        self,
        storage: OwnedStorage,
        rule: PruningRule,
        turn: Callable[[Callable[[], Results[bool]]], Results[bool]],
        n_running: Callable[[], int],
    ) -> None:
        self._storage, self._rule, self._n_running = storage, rule, n_running
        self._group = GroupCommit(self._store, turn, self._seconds)

    def store(self, assignment: Assignment) -> bool:
        """Store a trial's newest epoch; return True if the trial is hopeless.

        Args:
            assignment: the trial.

        Raises:
            UpdateFinishedTrialError: the trial was ended from outside.
        """
        return self._group.put(assignment)

    def _seconds(self) -> float:
        """Return for how long an epoch waits for those of other trials."""
        return GROUP_SECONDS if self._n_running() >= MANY_TRIALS else 0.0

    def _store(self, assignments: Sequence[Assignment]) -> Results[bool]:
        """Store the newest epoch of each trial, then decide which of the trials are hopeless."""
        epochs = [_newest_epoch(assignment) for assignment in assignments]
        ended = self._storage.write_epochs(epochs)
        answers: list[bool | Exception] = []
        for assignment, epoch in zip(assignments, epochs, strict=True):
            try:
                if epoch.trial_id in ended:
                    assignment.trial.report(epoch.value, epoch.step)  # raises the reason
                answers.append(self._rule.is_hopeless(assignment.number, assignment.values))
            except (UpdateFinishedTrialError, KeyError) as error:  # for this trial's caller
                answers.append(error)
        return answers

    def flush(self, assignment: Assignment) -> None:
        """Store the columns of a trial's epochs so far. The caller has its turn.

        Args:
            assignment: the trial.
        """
        for name, columns in _columns(assignment).items():
            assignment.trial.set_user_attr(name, columns)


def _newest_epoch(assignment: Assignment) -> EpochWrite:
    """Return a trial's newest epoch to be stored, from time to time with all columns."""
    is_due = time.monotonic() - assignment.flushed >= FLUSH_SECONDS
    newest = assignment.results[-1]
    return EpochWrite(
        assignment.trial._trial_id,
        newest.epoch,
        assignment.value_of(newest),
        _columns(assignment) if is_due else {},
    )


def _columns(assignment: Assignment) -> dict[str, Any]:
    """Return the attribute with the columns of the epochs so far; {} if the storage has more."""
    if len(assignment.times_ms) > len(assignment.results):
        return {}  # a resumed trial repeats its epochs
    assignment.flushed = time.monotonic()
    return {EPOCHS: epochs_to_columns(assignment.results, assignment.times_ms)}
