"""Policy for failures: recovery of lost trials, retries, and limits that stop a study.

A runner raises, `objective.py` names the cause, `Ledger.fail` asks here whether the config is at
fault (PRUNED) or not (FAIL), and the scheduler has `Retries` queue what was lost.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Container
from dataclasses import replace

from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState

from hpo.config import SearchSpace, StudyConfig
from hpo.errors import StudyStopped
from hpo.search import derive_seed
from hpo.study import ATTEMPT, OUTCOME, Attempt, Cause, Outcome, StudyRecord

DEAD = Outcome(0, 0.0, "launcher-died", "the launcher died while this trial ran")


CUT_OFF = Outcome(0, 0.0, "interrupted", "the study's storage failed while this trial ran")


def recover(study: Study, space: SearchSpace, record: StudyRecord) -> int:
    """Mark as FAIL the trials a previous launcher left RUNNING, and outdated WAITING trials.

    The caller holds the study's lock, so every RUNNING trial is dead, and queues what was lost.

    Args:
        study: the study.
        space: the study's search space.
        record: the study's record.

    Returns:
        The number of trials that were RUNNING.
    """
    dead = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in dead:
        _give_up(study, trial, DEAD)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if reason := _outdated(trial, space, record):
            _give_up(study, trial, Outcome(0, 0.0, "interrupted", reason))
    return len(dead)


def fail_running(study: Study, numbers: Container[int]) -> None:
    """Mark as FAIL the trials of this launcher that are RUNNING but no longer trained.

    Args:
        study: the study.
        numbers: numbers of the trials that this launcher started.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.number in numbers:
            _give_up(study, trial, CUT_OFF)


def n_ended(study: Study) -> int:
    """Return the number of ended trials, which is the next trial's place in the recorded order."""
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def as_next(outcome: Outcome, study: Study) -> Outcome:
    """Return the outcome of the trial that ends now, with its moment and its place in the order."""
    return replace(outcome, order=n_ended(study), ended_ms=time.time_ns() // 1_000_000)


def _outdated(waiting: FrozenTrial, space: SearchSpace, record: StudyRecord) -> str | None:
    """Return why a WAITING trial cannot run after accepted changes of the study; None: it can.

    One that never trained would count as one of before the change, and could not win. Of a parked
    one the base never changes and drawn values stay, so its config differs exactly if the space
    now draws other parameters.
    """
    if not waiting.intermediate_values:
        if waiting.number < max(record.comparable_from, record.constrained_from):
            return "queued before the study changed"
        return None
    if waiting.number < record.comparable_from:
        return "parked on data that the study no longer has"
    if not space.is_complete(waiting.params):
        return "parked with a configuration that the study's space no longer has"
    return None


def _give_up(study: Study, trial: FrozenTrial, outcome: Outcome) -> None:
    """Mark a trial as FAIL with its outcome."""
    outcome = as_next(outcome, study)
    study._storage.set_trial_user_attr(trial._trial_id, OUTCOME, outcome.as_dict())
    study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)


SAME_ERROR_LIMIT = 2  # an exception that repeats is a bug, not bad luck


FAILURES_IN_A_ROW = 10


INCIDENT_SECONDS = 90.0  # a broken pipe shows at once, a silent worker after a minute


class Incident:
    """A group of workers' deaths that may have one cause, such as a machine that stops.

    Such a machine kills each of its workers once. If the new worker of a slot dies too, there is
    another cause, such as a bug that kills every worker.
    """

    def __init__(self) -> None:
        self._began = -math.inf
        self._slots: set[object] = set()

    def takes(self, slot: object) -> bool:
        """Return True if the death of this slot's worker belongs to the present incident.

        Any other death begins a new incident.
        """
        now = time.monotonic()
        belongs = slot not in self._slots and now - self._began <= INCIDENT_SECONDS
        if not belongs:
            self._began, self._slots = now, set()
        self._slots.add(slot)
        return belongs


class Failures:
    """The failures during one run of a study, which stop it at the limits. **Thread-safe.**"""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()
        self._in_a_row = 0
        self._incident = Incident()

    def reset_consecutive(self) -> None:
        """Reset the count of failures in a row after a trial has succeeded."""
        with self._lock:
            self._in_a_row = 0

    def add(self, number: int, outcome: Outcome, died: object | None = None) -> None:
        """Count the failure of a trial.

        Args:
            number: number of the trial.
            outcome: outcome of the trial.
            died: the slot that lost its worker, if the trial is tried again; deaths of one incident
                count once. None: the failure counts by itself.

        Raises:
            StudyStopped: the same error has occurred twice, or ten trials have failed in a row.
        """
        with self._lock:
            if died is None or not self._incident.takes(died):
                self._in_a_row += 1
            in_a_row = self._in_a_row
            if outcome.cause == "error":
                self._errors[outcome.message] += 1
            n_same = self._errors[outcome.message]
        if n_same >= SAME_ERROR_LIMIT:
            raise StudyStopped(
                f"stopped: the same error twice, last in trial {number}",
                f"{outcome.message}\n{outcome.traceback}".rstrip(),
            )
        if in_a_row >= FAILURES_IN_A_ROW:
            raise StudyStopped(
                f"stopped: {in_a_row} trials failed in a row, last trial {number} "
                f"({outcome.cause})",
                outcome.message,
            )


RETRIED: frozenset[Cause] = frozenset(
    {"worker-died", "out-of-memory", "launcher-died", "interrupted"}
)
BAD_CONFIG: frozenset[Cause] = frozenset({"diverged", "time-limit"})


class Retries:
    """The attempts at each configuration of a study. Not thread-safe: the ledger has a lock.

    Args:
        study: the study.
        config: the study's config.
    """

    def __init__(self, study: Study, config: StudyConfig) -> None:
        self._study, self._config = study, config
        self._space = SearchSpace(config)

    def attempt_of(self, trial: FrozenTrial | Trial) -> Attempt:
        """Return the stored attempt of a trial; without one, a first attempt at a new config."""
        seed = derive_seed(self._config.seed, trial.number)
        return Attempt.of(trial) or Attempt(1, trial.number, seed, 0, "")

    def requeue(self) -> None:
        """Queue a new attempt at each config whose last attempt was lost by no fault of the config.

        The storage alone decides the new attempts, so a kill between failure and queueing loses
        none, and a second call queues none twice.
        """
        attempts: dict[int, list[FrozenTrial]] = defaultdict(list)
        for trial in self._study.get_trials(deepcopy=False):
            attempts[self.attempt_of(trial).origin].append(trial)
        for trials in attempts.values():
            last = trials[-1]
            attempt = self.attempt_of(last)
            params = {**last.system_attrs.get("fixed_params", {}), **last.params}
            lost = last.state == TrialState.FAIL and _cause(last) in RETRIED
            # False if killed while drawing parameters; those of a trial that never began are queued
            complete = last.datetime_start is None or self._space.is_complete(params)
            deaths = sum(_cause(trial) == "worker-died" for trial in trials)
            tries = self._config.retries.worker_died + 1
            if lost and complete and deaths < tries:  # is_bad_config() has the other limits
                again = Attempt(attempt.number + 1, attempt.origin, attempt.seed, 0, "")
                self._study.enqueue_trial(params, user_attrs={ATTEMPT: again.as_dict()})

    def is_bad_config(self, attempt: Attempt, cause: Cause | None) -> bool:
        """Return True if a failure counts as a result, so that the sampler learns from it.

        Args:
            attempt: the failed attempt.
            cause: cause of the failure.
        """
        if cause != "out-of-memory":
            return cause in BAD_CONFIG
        failed = self._study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        same = [trial for trial in failed if self.attempt_of(trial).origin == attempt.origin]
        before = sum(_cause(trial) == "out-of-memory" for trial in same)
        return before >= self._config.retries.out_of_memory


def _cause(trial: FrozenTrial) -> Cause | None:
    """Return the cause in a trial's outcome; None if there is none."""
    outcome = Outcome.of(trial)
    return outcome.cause if outcome else None
