"""One trial: pull its epochs, report each, stop when it is hopeless, name the cause if it fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from optuna.trial import TrialState

from hpo.errors import TrainingFailed, WorkerDied
from hpo.ledger import Assignment, Ledger
from hpo.records import Outcome
from hpo.runners import Runner
from recsys.errors import DivergedError
from recsys.trainer import EpochResult


class Cancelled(Exception):
    """The launcher wants to stop at once."""


class Objective:
    """Runs assignments on one runner and writes what became of them into the ledger.

    Args:
        on_epoch: called after each recorded epoch.
        cancelled: asked before each epoch is recorded; True ends the trial as interrupted.
    """

    def __init__(
        self,
        ledger: Ledger,
        on_epoch: Callable[[Assignment, EpochResult], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._ledger, self._on_epoch, self._cancelled = ledger, on_epoch, cancelled

    def __call__(self, assignment: Assignment, runner: Runner) -> tuple[TrialState, Outcome]:
        """Train; returns the final state with what was recorded beside it."""
        try:
            state = self._train(assignment, runner)
        except (Cancelled, WorkerDied, DivergedError, MemoryError, TrainingFailed) as error:
            outcome = self._failure(assignment, error)
            self._ledger.fail(assignment, outcome)
            return TrialState.FAIL, outcome
        if state is TrialState.PRUNED:
            self._ledger.prune(assignment)
        else:
            self._ledger.complete(assignment)
        return state, assignment.outcome()

    def _train(self, assignment: Assignment, runner: Runner) -> TrialState:
        if self._cancelled():
            raise Cancelled
        with closing(runner.epochs(assignment.config)) as epochs:
            for result in epochs:
                if self._cancelled():
                    raise Cancelled
                hopeless = self._ledger.report(assignment, result)
                self._on_epoch(assignment, result)
                if hopeless:
                    return TrialState.PRUNED
        return TrialState.COMPLETE

    def _failure(self, assignment: Assignment, error: Exception) -> Outcome:
        if self._cancelled():
            return assignment.outcome("interrupted", "the study was stopped while this trial ran")
        match error:
            case WorkerDied():
                return assignment.outcome("worker-died", str(error))
            case DivergedError():
                return assignment.outcome("diverged", str(error))
            case MemoryError():
                return assignment.outcome("out-of-memory", str(error) or "out of memory")
            case TrainingFailed():
                return assignment.outcome("error", str(error), error.traceback)
        raise error
