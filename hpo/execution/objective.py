"""The run of one trial: report each epoch, stop if hopeless, name the cause of a failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum

from optuna.trial import TrialState

from hpo.errors import NodeLost, OtherTraining, Parked, TrainingFailed, WorkerDied
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment
from hpo.runners import Runner
from hpo.study import Outcome
from recsys.errors import DivergedError
from recsys.training import EpochResult

TWIN_SECONDS = 0.1  # interval of checks while another trial trains the same config


class Stop(StrEnum):
    """The launcher's request to running trials."""

    NO = "go on"
    PARK = "put aside after this epoch"
    ABORT = "stop at once"


class Cancelled(Exception):
    """Error for a trial that the launcher stops at once."""


class OutOfTime(Exception):
    """Error for a trial that exceeds its time limit."""


class Objective:
    """A callable that runs a trial on a runner and records its end in the ledger.

    Args:
        ledger: the study's ledger.
        on_epoch: called after each recorded epoch.
        stop: returns the launcher's request; called at each epoch.
        trial_seconds: limit of one trial's training; None: no limit.
    """

    def __init__(
        self,
        ledger: Ledger,
        on_epoch: Callable[[Assignment, EpochResult], None],
        stop: Callable[[], Stop],
        trial_seconds: float | None = None,
    ) -> None:
        self._ledger, self._on_epoch = ledger, on_epoch
        self._stop, self._trial_seconds = stop, trial_seconds

    def __call__(self, assignment: Assignment, runner: Runner) -> tuple[TrialState, Outcome]:
        """Train; return the state (WAITING if the trial was parked) and the recorded outcome.

        Args:
            assignment: the trial.
            runner: the runner that trains it.
        """
        try:
            return self._run(assignment, runner)
        finally:
            self._ledger.release(assignment)

    def _run(self, assignment: Assignment, runner: Runner) -> tuple[TrialState, Outcome]:
        """Train, or copy an earlier result; record the end of the trial.

        Raises:
            Exception: an error that is no failure of the trial, such as one of the storage.
        """
        try:
            if assignment.outdated:
                raise OtherTraining(assignment.outdated)
            self._claim(assignment)
            if assignment.same_as is not None:
                return self._ledger.copy_result(assignment)
            state = self._train(assignment, runner)
        except Parked:
            self._ledger.park(assignment)
            return TrialState.WAITING, assignment.outcome()
        except OtherTraining as error:
            return self._ledger.fail(assignment, assignment.outcome("interrupted", str(error)))
        except FAILURES as error:
            return self._ledger.fail(assignment, self._failure(assignment, error))
        if state is TrialState.PRUNED:
            return state, self._ledger.prune(assignment)
        return state, self._ledger.complete(assignment)

    def _claim(self, assignment: Assignment) -> None:
        """Wait while another trial trains the same config: both would end at the same time.

        Raises:
            Cancelled: the launcher stops all trials at once.
            Parked: the launcher parks all trials.
        """
        while not assignment.violation and not self._ledger.claim(assignment):
            time.sleep(TWIN_SECONDS)
            stop = self._stop()  # before the next claim: the other trial may have been parked
            if stop is Stop.ABORT:
                raise Cancelled
            if stop is Stop.PARK:
                raise Parked

    def _train(self, assignment: Assignment, runner: Runner) -> TrialState:
        """Train until the last epoch or the pruner ends the trial; return COMPLETE or PRUNED.

        Raises:
            Cancelled: the launcher stops all trials at once.
            OutOfTime: the trial exceeds its time limit.
        """
        if self._stop() is Stop.ABORT:
            raise Cancelled
        if assignment.violation:
            return TrialState.PRUNED
        with closing(runner.epochs(assignment.config, assignment.snapshot)) as epochs:
            for result in epochs:
                stop = self._stop()
                if stop is Stop.ABORT:
                    raise Cancelled
                with assignment.storing():
                    hopeless = self._ledger.report(assignment, result)
                self._on_epoch(assignment, result)
                if hopeless:
                    return TrialState.PRUNED
                if self._is_late(assignment):
                    raise OutOfTime
                if stop is Stop.PARK:
                    runner.park()  # again, since the first call may have come before the training
        return TrialState.COMPLETE

    def _is_late(self, assignment: Assignment) -> bool:
        """Return True if a trial is over its time limit and still lacks epochs."""
        if self._trial_seconds is None or len(assignment.results) == assignment.config.epochs:
            return False
        return assignment.seconds > self._trial_seconds

    def _failure(self, assignment: Assignment, error: Exception) -> Outcome:
        """Return the outcome with the cause of a failure.

        Raises:
            Cancelled: `error` itself, if the launcher has not asked to stop.
        """
        if self._stop() is not Stop.NO and not isinstance(error, DivergedError | OutOfTime):
            message = f"the study was stopped while this trial ran; {error}".rstrip("; ")
            return assignment.outcome("interrupted", message)
        if isinstance(error, OutOfTime) or assignment.overdue:
            limit = f"no result within trial_seconds = {self._trial_seconds:g}"
            return assignment.outcome("time-limit", limit)
        match error:
            case WorkerDied():
                lost = isinstance(error, NodeLost)  # not the trial's fault, so it costs no retry
                return assignment.outcome("interrupted" if lost else "worker-died", str(error))
            case DivergedError():
                return assignment.outcome("diverged", str(error))
            case MemoryError():
                return assignment.outcome("out-of-memory", str(error) or "out of memory")
            case TrainingFailed():
                return assignment.outcome("error", str(error), error.traceback)
        raise error


FAILURES = (Cancelled, OutOfTime, WorkerDied, DivergedError, MemoryError, TrainingFailed)
