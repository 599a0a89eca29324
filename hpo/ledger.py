"""All that a launcher does to its study, one call at a time.

Optuna keeps no order among threads, and SQLite has one writer anyway, so one lock goes around
everything: cheaper than none, and the order of calls is the order in which the sampler saw the
results.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace

from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState

from hpo.pruning import MedianRule
from hpo.records import (
    ATTEMPT,
    EPOCHS,
    OUTCOME,
    Attempt,
    Cause,
    Outcome,
    best_complete,
    epochs_to_columns,
)
from hpo.settings import OBJECTIVE, StudyConfig
from hpo.space import SearchSpace
from hpo.study import derive_seed, make_sampler
from recsys.config import TrainConfig
from recsys.trainer import EpochResult

RETRIED: frozenset[Cause] = frozenset({"worker-died", "launcher-died", "interrupted"})
MAX_DEATHS = 3  # of workers, by one config; interruptions are not its fault
FLUSH_SECONDS = 2.0  # so old the curves of a running trial may be, in MLflow and after kill -9
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass
class Assignment:
    """A trial that runs: what to train, and what it has shown so far."""

    trial: Trial
    config: TrainConfig
    attempt: Attempt
    results: list[EpochResult] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    flushed: float = field(default_factory=time.monotonic)

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def best(self) -> EpochResult | None:
        """The epoch with the best objective, the first of equals; None before the first."""
        return max(self.results, key=objective_value, default=None)

    def outcome(self, cause: Cause | None = None, message: str = "", trace: str = "") -> Outcome:
        seconds = sum(result.seconds for result in self.results)
        best_epoch = self.best.epoch if self.best else 0
        return Outcome(best_epoch, seconds, cause, message, trace)


def objective_value(result: EpochResult) -> float:
    """What the study maximizes, of one epoch."""
    return float(getattr(result.metrics, OBJECTIVE))


def _cause(trial: FrozenTrial) -> Cause | None:
    outcome = Outcome.of(trial)
    return outcome.cause if outcome else None


class Ledger:
    """The launcher's side of a study. **Thread-safe.** The caller holds the study's lock."""

    def __init__(self, study: Study, config: StudyConfig) -> None:
        self._study, self._config = study, config
        self._space = SearchSpace(config)
        self._lock = threading.Lock()
        self._rule = MedianRule(config.pruner)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            self._rule.add(trial.intermediate_values)

    def n_finished(self) -> int:
        """Trials that count: COMPLETE and PRUNED."""
        with self._lock:
            return len(self._study.get_trials(deepcopy=False, states=FINISHED))

    def best(self) -> FrozenTrial | None:
        """See `hpo.records.best_complete`."""
        with self._lock:
            return best_complete(self._study.get_trials(deepcopy=False))

    def recover(self) -> int:
        """FAIL what an earlier launcher left RUNNING and queue what was lost; how many died.

        The caller holds the study's lock, so whatever is RUNNING is dead.
        """
        with self._lock:
            dead = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            message = "the launcher died while this trial ran"
            for frozen in dead:
                trial = Trial(self._study, frozen._trial_id)
                trial.set_user_attr(OUTCOME, Outcome(0, 0.0, "launcher-died", message).as_dict())
                self._study.tell(frozen.number, state=TrialState.FAIL)
            self._requeue()
        return len(dead)

    def requeue(self) -> None:
        """Queue a new attempt of each config whose last attempt failed through no fault of its own.

        What to queue follows from the storage alone, so a kill between failure and queueing loses
        nothing, and calling twice queues nothing twice.
        """
        with self._lock:
            self._requeue()

    def _requeue(self) -> None:
        attempts: dict[int, list[FrozenTrial]] = defaultdict(list)
        for trial in self._study.get_trials(deepcopy=False):
            attempts[self._attempt_of(trial).origin].append(trial)
        for trials in attempts.values():
            last = trials[-1]
            outcome, attempt = Outcome.of(last), self._attempt_of(last)
            params = last.system_attrs.get("fixed_params") or last.params
            lost = last.state == TrialState.FAIL and outcome and outcome.cause in RETRIED
            complete = set(params) == set(self._config.space)  # killed amid the suggestions: no
            deaths = sum(_cause(trial) == "worker-died" for trial in trials)
            if lost and complete and deaths < MAX_DEATHS:
                again = Attempt(attempt.number + 1, attempt.origin, attempt.seed, 0, "")
                self._study.enqueue_trial(params, user_attrs={ATTEMPT: again.as_dict()})

    def _attempt_of(self, trial: FrozenTrial | Trial) -> Attempt:
        """What is stored, or that this is the first try of a config of its own."""
        seed = derive_seed(self._config.seed, trial.number)
        return Attempt.of(trial) or Attempt(1, trial.number, seed, 0, "")

    def start(self, runner: str, threads: int) -> Assignment:
        """Take the next trial: a queued one if there is any, else a new suggestion."""
        with self._lock:
            n_existing = len(self._study.get_trials(deepcopy=False))
            self._study.sampler = make_sampler(self._config, n_existing)
            trial = self._study.ask()
            attempt = replace(self._attempt_of(trial), threads=threads, runner=runner)
            trial.set_user_attr(ATTEMPT, attempt.as_dict())
            return Assignment(trial, self._space.suggest(trial, attempt.seed), attempt)

    def report(self, assignment: Assignment, result: EpochResult) -> bool:
        """Record one epoch; True if the trial is hopeless."""
        assignment.results.append(result)
        assignment.times_ms.append(time.time_ns() // 1_000_000)
        with self._lock:
            assignment.trial.report(objective_value(result), result.epoch)
            if time.monotonic() - assignment.flushed >= FLUSH_SECONDS:
                self._flush(assignment)
            best = objective_value(assignment.best or result)
            return self._rule.is_hopeless(result.epoch, best)

    def _flush(self, assignment: Assignment) -> None:
        columns = epochs_to_columns(assignment.results, assignment.times_ms)
        assignment.trial.set_user_attr(EPOCHS, columns)
        assignment.flushed = time.monotonic()

    def complete(self, assignment: Assignment) -> None:
        """End a trial with the value of its best epoch."""
        best = assignment.best
        assert best is not None, "a training ended without an epoch"
        self._finish(assignment, TrialState.COMPLETE, assignment.outcome(), objective_value(best))

    def prune(self, assignment: Assignment) -> None:
        self._finish(assignment, TrialState.PRUNED, assignment.outcome())

    def fail(self, assignment: Assignment, outcome: Outcome) -> None:
        self._finish(assignment, TrialState.FAIL, outcome)

    def _finish(
        self,
        assignment: Assignment,
        state: TrialState,
        outcome: Outcome,
        value: float | None = None,
    ) -> None:
        with self._lock:
            self._flush(assignment)
            assignment.trial.set_user_attr(OUTCOME, outcome.as_dict())
            self._study.tell(assignment.trial, value, state=state)
            if state is TrialState.COMPLETE:
                self._rule.add(
                    {result.epoch: objective_value(result) for result in assignment.results}
                )
