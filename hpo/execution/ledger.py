"""The launcher's reads and writes of its study, one call at a time.

Optuna guarantees no order among threads, and SQLite has a single writer anyway, so one lock
surrounds every call. That is cheaper than no lock, and the order of calls is the order in which
the sampler saw the results. While the storage is out of reach, a call waits and is then made again,
so each one completes what a broken call has left.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState

from hpo.config import SearchSpace, StudyConfig
from hpo.errors import OtherTraining, StorageUnreachable
from hpo.execution.deduplication import ConfigIndex, is_final
from hpo.execution.failure_policy import Retries, as_next, fail_running, n_ended, recover
from hpo.execution.running_trial import Assignment, place_difference
from hpo.execution.stopping.stop_request import SignedOn, is_asked_to_stop, sign_on
from hpo.execution.store.broken_starts import BrokenStarts
from hpo.execution.store.epoch_reports import EpochReports
from hpo.execution.store.owned_storage import for_one_writer
from hpo.execution.store.storage_retries import SerializedCalls, in_turn
from hpo.execution.store.stored_constraints import StoredConstraints
from hpo.runners import processor_of
from hpo.search import Measure, make_sampler, pruning_rule
from hpo.study import (
    ATTEMPT,
    COUNTED,
    EPOCHS,
    OUTCOME,
    Attempt,
    Outcome,
    best_complete,
    best_metrics,
    comparable,
    epochs_of,
    snapshot_file,
    start_moment,
    storage_failure,
)
from hpo.trainables import no_snapshot
from recsys.training import EpochResult

NO_MEASURES: Mapping[str, Measure] = {}


class Ledger(SerializedCalls):
    """The launcher's access to its study. **Thread-safe.** The caller holds the study's lock.

    Args:
        study: the study.
        config: the study's config.
        parked: folder for snapshots of parked trainings; None: no training can be parked.
        measures: measures of the limited quantities, see `hpo.search.constraints`.
    """

    def __init__(
        self,
        study: Study,
        config: StudyConfig,
        parked: Path | None = None,
        measures: Mapping[str, Measure] = NO_MEASURES,
    ) -> None:
        super().__init__()
        self._study, self._storage = for_one_writer(study)
        self._config, self._parked = config, parked
        self._limits = StoredConstraints(self._study, config, measures)
        self._space = SearchSpace(config)
        self._retries = Retries(self._study, config)
        self._rule = pruning_rule(config, study.study_name)
        self._known = ConfigIndex()
        self._asked: set[int] = set()  # trials that this launcher started, and that may still run
        self._starts = BrokenStarts()
        self._epochs = EpochReports(self._storage, self._rule, self.call, lambda: len(self._asked))
        self._me: SignedOn | None = None
        for trial in self._study.get_trials(deepcopy=False):
            if trial.number >= self._limits.record.comparable_from:
                self._remember(trial)
        self._limits.refresh_for_samplers()

    def _after_outage(self) -> None:
        """Read the study anew, and queue trials that a broken call has started for nobody."""
        self._storage.forget()
        self._limits.refresh_for_samplers()
        for trial in self._left():
            self._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        self._starts.end()

    def _left(self) -> list[FrozenTrial]:
        """Return the trials that a broken call has started for nobody."""
        return self._starts.left(self._study, self._asked)

    def _remember(self, trial: FrozenTrial) -> None:
        """Register a trial with the pruner, and a final one with the index of trained configs."""
        outcome = Outcome.of(trial)
        if outcome is not None and outcome.same_as is not None:
            return
        if is_final(trial, outcome, self._config.pruner.name):
            self._known.add(self._space.config(trial.params, seed=0), trial)
        if trial.number in self._limits.record.infeasible:
            self._rule.discard(trial.number)
            return
        values = [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]
        self._rule.add(trial.number, values, trial.state is TrialState.COMPLETE)

    @in_turn
    def n_finished(self) -> int:
        """Return the number of trials that count: COMPLETE and PRUNED."""
        return len(self._study.get_trials(deepcopy=False, states=COUNTED))

    @in_turn
    def n_comparable(self) -> int:
        """Return the number of finished trials that may win, see `hpo.study.records.comparable`."""
        finished = self._study.get_trials(deepcopy=False, states=COUNTED)
        return len(comparable(self._limits.record, finished))

    def tidy(self) -> None:
        """Remove all snapshots of parked trainings; for a study that has all its trials."""
        if self._parked is not None:
            shutil.rmtree(self._parked, ignore_errors=True)

    @in_turn
    def best(self) -> FrozenTrial | None:
        """Return the best COMPLETE trial of those that may win; None if there is none."""
        trials = self._study.get_trials(deepcopy=False)
        return best_complete(comparable(self._limits.record, trials))

    @in_turn
    def recover(self) -> int:
        """Recover the trials of a dead launcher and queue the lost ones; return how many died."""
        n_dead = recover(self._study, self._space, self._limits.record)
        self._retries.requeue()
        return n_dead

    @in_turn
    def sign_on(self, me: SignedOn | None = None) -> None:
        """Write who runs the study from now on, so that `hpo stop` can ask this launcher.

        Args:
            me: what this launcher has written already; None: nothing yet.
        """
        self._me = me or sign_on(self._study)

    def is_asked_to_stop(self) -> bool:
        """Return True if this launcher was asked from outside to park the study.

        A storage that does not answer counts as no request. Without the lock, which a slot holds
        during an outage: the main thread must not wait for it.
        """
        try:
            return self._me is not None and is_asked_to_stop(self._study, self._me)
        except Exception as error:
            if storage_failure(error) is None:
                raise
            return False

    @property
    def study(self) -> Study:
        """Return the study, as this launcher knows it."""
        return self._study

    def fail_running(self, *, owned: bool) -> None:
        """Mark as FAIL the trials left RUNNING after a failure of the storage.

        Args:
            owned: True if this launcher still holds the study's lock, so that what a broken call
                has started is its own.
        """
        with self._lock:
            left = {trial.number for trial in self._left()} if owned else set()
            fail_running(self._study, self._asked | left)

    @in_turn
    def requeue(self) -> None:
        """Queue new attempts, see `hpo.execution.failure_policy.Retries.requeue`."""
        self._retries.requeue()

    @in_turn
    def start(
        self, runner: str, threads: int, device: str = "cpu", processor: str = "", node: str = ""
    ) -> Assignment:
        """Start the next trial: a queued one if there is any, else a new suggestion.

        A trial with a `violation` must be pruned without training.

        Args:
            runner: name of the runner, "inline", "process" or "ray".
            threads: torch threads of the worker.
            device: torch device name.
            processor, node: model of CPU or GPU, and machine, that train; "": this machine's.
        """
        trials = self._study.get_trials(deepcopy=False)
        self._starts.begin(trials)
        # a trial whose start an outage broke is asked for again, and draws as it would have
        queued = [trial.number for trial in trials if trial.state is TrialState.WAITING]
        self._study.sampler = make_sampler(self._config, min(queued, default=len(trials)))
        n_before = n_ended(self._study)
        trial = self._study.ask()
        self._asked.add(trial.number)
        before = self._retries.attempt_of(trial)
        attempt = replace(
            before,
            threads=threads,
            runner=runner,
            device=device,
            started_ms=before.started_ms or start_moment(trial),
            after=n_before,
            processor=processor or processor_of(device),
            node=node,
        )
        try:
            assignment = self._assign(trial, before, attempt)
        except StorageUnreachable:
            self._asked.discard(trial.number)  # nobody trains it; _after_outage() queues it
            raise
        self._starts.end()
        return assignment

    def _assign(self, trial: Trial, before: Attempt, attempt: Attempt) -> Assignment:
        """Store a trial's attempt, draw its parameters, and check what is to be trained."""
        outdated = place_difference(before, attempt) if trial.user_attrs.get(EPOCHS) else ""
        if not outdated:
            trial.set_user_attr(ATTEMPT, attempt.as_dict())
        train_config = self._space.suggest(trial, attempt.seed)
        assignment = Assignment(trial, train_config, attempt, self._config.objective)
        self._limits.check(assignment)
        if self._parked is not None:
            assignment.snapshot = snapshot_file(self._parked, trial.number)
        if trial.user_attrs.get(EPOCHS):  # a parked trial
            assignment.outdated = "" if assignment.violation else outdated
            self._recall(assignment)
        return assignment

    def _recall(self, assignment: Assignment) -> None:
        """Load the stored epochs of a parked trial, and check its snapshot."""
        frozen = self._storage.get_trial(assignment.trial._trial_id)
        assignment.stored = epochs_of(frozen)
        assignment.times_ms = [int(time_ms) for time_ms in assignment.stored["time_ms"]]
        assignment.reported = set(frozen.intermediate_values)
        if assignment.snapshot is None or assignment.outdated or assignment.violation:
            return
        if reason := no_snapshot(self._config.trainable, assignment.snapshot, assignment.config):
            which = f"trial {assignment.number}"
            assignment.notice = f"{which} was parked and starts again at its first epoch: {reason}"

    def claim(self, assignment: Assignment) -> bool:
        """Return True if the trial may go on; False while another trial trains the same config.

        After True, either the config is reserved for this trial, or `same_as` is the trial that has
        trained it.
        """
        with self._lock:
            assignment.same_as = self._known.trial(assignment.config)
            if assignment.same_as is not None:
                return True
            return self._known.claim(assignment.config, assignment.number)

    def release(self, assignment: Assignment) -> None:
        """Give up the reservation of the trial's config after its training has ended."""
        with self._lock:
            if not assignment.violation:
                self._known.release(assignment.config, assignment.number)

    def report(self, assignment: Assignment, result: EpochResult) -> bool:
        """Record one epoch; return True if the trial is hopeless.

        Args:
            assignment: the trial.
            result: its next epoch.

        Raises:
            OtherTraining: the epoch differs from the one stored before the trial was parked.
        """
        if difference := assignment.difference(result):
            raise OtherTraining(difference)
        assignment.results.append(result)
        if len(assignment.times_ms) < len(assignment.results):
            assignment.times_ms.append(time.time_ns() // 1_000_000)
        if result.epoch in assignment.reported:
            return False
        return self._epochs.store(assignment)

    def complete(self, assignment: Assignment) -> Outcome:
        """End a trial as COMPLETE with the value of its best epoch; return the outcome."""
        best = assignment.best
        assert best is not None, "a training ended without an epoch"
        value = assignment.value_of(best)
        return self._finish(assignment, TrialState.COMPLETE, assignment.outcome(), value)

    def prune(self, assignment: Assignment) -> Outcome:
        """End a trial as PRUNED; return the outcome."""
        return self._finish(assignment, TrialState.PRUNED, assignment.outcome())

    def fail(self, assignment: Assignment, outcome: Outcome) -> tuple[TrialState, Outcome]:
        """End a trial without a result of its own.

        Args:
            assignment: the trial.
            outcome: outcome with the cause of the failure.

        Returns:
            The state and the recorded outcome. The state is PRUNED if the config is at fault, so
            that the trial counts and the sampler learns from it; else FAIL.
        """
        bad = self.call(lambda: self._retries.is_bad_config(assignment.attempt, outcome.cause))
        state = TrialState.PRUNED if bad else TrialState.FAIL
        return state, self._finish(assignment, state, outcome)

    @in_turn
    def end_from_outside(self, assignment: Assignment) -> tuple[TrialState, Outcome]:
        """Return state and outcome, which is not stored, of a trial that another process ended."""
        state = self._study.get_trials(deepcopy=False)[assignment.number].state
        if state is TrialState.FAIL:
            return state, assignment.outcome("interrupted", "ended from outside")
        return state, assignment.outcome()

    @in_turn
    def park(self, assignment: Assignment) -> None:
        """Put a trial back into the queue; the next `start` resumes it."""
        self._epochs.flush(assignment)
        self._storage.set_trial_state_values(assignment.trial._trial_id, TrialState.WAITING)
        self._asked.discard(assignment.number)

    @in_turn
    def copy_result(self, assignment: Assignment) -> tuple[TrialState, Outcome]:
        """End a trial with a copy of the result of the earlier trial with the same config.

        Returns:
            State and outcome of the trial.
        """
        same = assignment.same_as
        assert same is not None
        was = Outcome.of(same) or Outcome(0, 0.0)
        outcome = replace(was, seconds=0.0, same_as=same.number, usage={})
        source = Attempt.of(same)
        assert source is not None, f"trial {same.number} has an outcome but never started"
        # a replay of the copied numbers needs the seed and place of the training behind them
        attempt = replace(
            assignment.attempt,
            seed=source.seed,
            threads=source.threads,
            device=source.device,
            processor=source.processor,
            node=source.node,
        )
        columns = epochs_of(same)
        now = [time.time_ns() // 1_000_000] * len(columns.get("epoch", []))
        if self._is_told(assignment, same.state):
            return same.state, outcome
        for epoch, value in same.intermediate_values.items():
            assignment.trial.report(value, epoch)
        self._limits.judge(assignment, best_metrics(same), same.state)
        outcome = as_next(outcome, self._study)
        assignment.trial.set_user_attr(ATTEMPT, attempt.as_dict())
        assignment.trial.set_user_attr(EPOCHS, {**columns, "time_ms": now} if now else {})
        assignment.trial.set_user_attr(OUTCOME, outcome.as_dict())
        result = same.value if same.state is TrialState.COMPLETE else None
        self._study.tell(assignment.trial, result, state=same.state)
        self._asked.discard(assignment.number)
        return same.state, outcome

    def _is_told(self, assignment: Assignment, state: TrialState) -> bool:
        """Return True if a call that broke off had already ended the trial with this state."""
        trial = self._storage.get_trial(assignment.trial._trial_id)
        return trial.state is state and OUTCOME in trial.user_attrs

    @in_turn
    def _finish(
        self,
        assignment: Assignment,
        state: TrialState,
        outcome: Outcome,
        value: float | None = None,
    ) -> Outcome:
        """Store epochs and outcome of a trial, then its final state; remove its snapshot."""
        if self._is_told(assignment, state):
            self._remember(self._storage.get_trial(assignment.trial._trial_id))
            return outcome
        self._epochs.flush(assignment)
        metrics = assignment.best.metrics.as_dict() if assignment.best else {}
        self._limits.judge(assignment, metrics, state)
        outcome = as_next(outcome, self._study)
        assignment.trial.set_user_attr(OUTCOME, outcome.as_dict())
        told = self._study.tell(assignment.trial, value, state=state)
        self._limits.refresh_ranges(told)  # it may have been parked under other ranges
        self._remember(told)
        self._asked.discard(assignment.number)
        if assignment.snapshot:
            with suppress(OSError):  # most were never parked; tidy() removes the rest
                assignment.snapshot.unlink()
        return outcome
