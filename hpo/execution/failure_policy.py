"""Which lost trainings start again, and which failures a configuration answers for itself."""

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
    """FAIL what an earlier launcher left RUNNING, and what it parked and cannot go on.

    The caller holds the study's lock, so whatever is RUNNING is dead.

    Returns:
        How many trials were RUNNING.
    """
    dead = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in dead:
        _give_up(study, trial, DEAD)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if trial.intermediate_values and (reason := _outdated(trial, space, record)):
            _give_up(study, trial, Outcome(0, 0.0, "interrupted", reason))
    return len(dead)


def fail_running(study: Study, numbers: Container[int] | None) -> None:
    """Mark as FAIL the trials that are RUNNING though nobody trains them.

    Args:
        study: whose trials.
        numbers: of the trials that this launcher started; None: all are its own.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if numbers is None or trial.number in numbers:
            _give_up(study, trial, CUT_OFF)


def n_ended(study: Study) -> int:
    """Trials that have ended, in whatever way: the place of the next in the recorded order."""
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def _outdated(parked: FrozenTrial, space: SearchSpace, record: StudyRecord) -> str | None:
    """Why a parked trial cannot go on after changes that were accepted; None: it can.

    The base never changes and drawn values stay, so its config is another one exactly if
    other parameters are drawn.
    """
    if parked.number < record.comparable_from:
        return "parked on data that the study no longer has"
    if not space.is_complete(parked.params):
        return "parked with a configuration that the study's space no longer has"
    return None


def _give_up(study: Study, trial: FrozenTrial, outcome: Outcome) -> None:
    outcome = replace(outcome, order=n_ended(study))
    study._storage.set_trial_user_attr(trial._trial_id, OUTCOME, outcome.as_dict())
    study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)


SAME_ERROR_LIMIT = 2  # the same exception twice is a bug, not bad luck


FAILURES_IN_A_ROW = 10


INCIDENT_SECONDS = 90.0  # a broken pipe is seen at once, a silent worker after a minute


class Incident:
    """Deaths of workers that may have one cause: a machine that stops takes all its workers.

    It takes each of them once. A slot whose new worker dies too shows another cause, such as a bug
    that kills every worker.
    """

    def __init__(self) -> None:
        self._began = -math.inf
        self._slots: set[object] = set()

    def takes(self, slot: object) -> bool:
        """Return True if the death of this slot's worker belongs to the incident before.

        Otherwise the death begins a new incident.
        """
        now = time.monotonic()
        belongs = slot not in self._slots and now - self._began <= INCIDENT_SECONDS
        if not belongs:
            self._began, self._slots = now, set()
        self._slots.add(slot)
        return belongs


class Failures:
    """Count the failures of one run of a study; stop it at the limits. **Thread-safe.**"""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()
        self._in_a_row = 0
        self._incident = Incident()

    def forget_row(self) -> None:
        """Begin a new row: a trial has succeeded."""
        with self._lock:
            self._in_a_row = 0

    def add(self, number: int, outcome: Outcome, died: object | None = None) -> None:
        """Count the failure of a trial.

        Args:
            number: of the trial.
            outcome: why it failed.
            died: the slot whose worker was lost, so that the trial is tried again; deaths of one
                incident count once. None: the failure counts by itself.

        Raises:
            StudyStopped: as too many before it.
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
                f"stopped: the same error twice, last in trial {number}: "
                f"{outcome.message}\n{outcome.traceback}".rstrip()
            )
        if in_a_row >= FAILURES_IN_A_ROW:
            raise StudyStopped(
                f"stopped: {in_a_row} trials failed in a row, last trial {number} "
                f"({outcome.cause}): {outcome.message}"
            )


RETRIED: frozenset[Cause] = frozenset(
    {"worker-died", "out-of-memory", "launcher-died", "interrupted"}
)
BAD_CONFIG: frozenset[Cause] = frozenset({"diverged", "time-limit"})


class Retries:
    """The tries of each configuration of a study. Not thread-safe: the ledger holds a lock."""

    def __init__(self, study: Study, config: StudyConfig) -> None:
        self._study, self._config = study, config
        self._space = SearchSpace(config)

    def attempt_of(self, trial: FrozenTrial | Trial) -> Attempt:
        """What is stored, or that this is the first try of a config of its own."""
        seed = derive_seed(self._config.seed, trial.number)
        return Attempt.of(trial) or Attempt(1, trial.number, seed, 0, "")

    def requeue(self) -> None:
        """Queue a new attempt of each config whose last attempt failed through no fault of its own.

        What to queue follows from the storage alone, so a kill between failure and queueing loses
        nothing, and calling twice queues nothing twice.
        """
        attempts: dict[int, list[FrozenTrial]] = defaultdict(list)
        for trial in self._study.get_trials(deepcopy=False):
            attempts[self.attempt_of(trial).origin].append(trial)
        for trials in attempts.values():
            last = trials[-1]
            attempt = self.attempt_of(last)
            params = last.system_attrs.get("fixed_params") or last.params
            lost = last.state == TrialState.FAIL and _cause(last) in RETRIED
            complete = self._space.is_complete(params)  # killed amid the suggestions: no
            deaths = sum(_cause(trial) == "worker-died" for trial in trials)
            tries = self._config.retries.worker_died + 1
            if lost and complete and deaths < tries:  # is_bad_config() sees to the other limits
                again = Attempt(attempt.number + 1, attempt.origin, attempt.seed, 0, "")
                self._study.enqueue_trial(params, user_attrs={ATTEMPT: again.as_dict()})

    def is_bad_config(self, attempt: Attempt, cause: Cause | None) -> bool:
        """Whether a failure counts, so that the sampler learns from it."""
        if cause != "out-of-memory":
            return cause in BAD_CONFIG
        failed = self._study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        same = [trial for trial in failed if self.attempt_of(trial).origin == attempt.origin]
        before = sum(_cause(trial) == "out-of-memory" for trial in same)
        return before >= self._config.retries.out_of_memory


def _cause(trial: FrozenTrial) -> Cause | None:
    outcome = Outcome.of(trial)
    return outcome.cause if outcome else None
