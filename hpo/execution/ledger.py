"""All that a launcher does to its study, one call at a time.

Optuna keeps no order among threads, and SQLite has one writer anyway, so one lock goes around
everything: cheaper than none, and the order of calls is the order in which the sampler saw the
results.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from hpo.config import SearchSpace, StudyConfig
from hpo.errors import OtherTraining
from hpo.execution.deduplication import Known, is_final
from hpo.execution.failure_policy import Retries, fail_running, n_ended, recover
from hpo.execution.running_trial import ANEW, Assignment
from hpo.search import Constraints, Measure, make_sampler, pruning_rule
from hpo.study import (
    ATTEMPT,
    EPOCHS,
    FINISHED,
    OUTCOME,
    Attempt,
    Outcome,
    StudyRecord,
    best_complete,
    comparable,
    epochs_of,
    epochs_to_columns,
    milliseconds,
    processor_of,
)
from recsys.errors import CheckpointError
from recsys.training import EpochResult, check_snapshot

FLUSH_SECONDS = 2.0  # so old the curves of a running trial may be, in MLflow and after kill -9
NO_MEASURES: Mapping[str, Measure] = {}


class Ledger:
    """The launcher's side of a study. **Thread-safe.** The caller holds the study's lock.

    Args:
        parked: folder for trainings that are put aside; None: none can be.
        measures: of what the study's constraints limit, see `hpo.search.constraints`.
    """

    def __init__(
        self,
        study: Study,
        config: StudyConfig,
        parked: Path | None = None,
        measures: Mapping[str, Measure] = NO_MEASURES,
    ) -> None:
        self._study, self._config, self._parked = study, config, parked
        self._constraints = Constraints(config, measures)
        self._space = SearchSpace(config)
        self._retries = Retries(study, config)
        self._lock = threading.Lock()
        self._rule = pruning_rule(config, study.study_name)
        self._known = Known()
        self._asked: set[int] = set()  # trials that we started and did not park
        self._record = StudyRecord.of(study)
        for trial in comparable(self._record, study.get_trials(deepcopy=False)):
            self._remember(trial)

    def _remember(self, trial: FrozenTrial) -> None:
        """Take in a trial: for the pruner, and so that a finished config is not trained again."""
        outcome = Outcome.of(trial)
        if outcome is not None and outcome.same_as is not None:
            return
        if is_final(trial, outcome, self._config.pruner.name):
            self._known.add(self._space.config(trial.params, seed=0), trial)
        values = [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]
        self._rule.add(trial.number, values, trial.state is TrialState.COMPLETE)

    def n_finished(self) -> int:
        """Trials that count: COMPLETE and PRUNED."""
        with self._lock:
            return len(self._study.get_trials(deepcopy=False, states=FINISHED))

    def n_comparable(self) -> int:
        """Those of them that may win, see `hpo.study.records.comparable`."""
        with self._lock:
            finished = self._study.get_trials(deepcopy=False, states=FINISHED)
            return len(comparable(self._record, finished))

    def tidy(self) -> None:
        """Remove what is left of parked trainings. When the study has its trials, none is."""
        if self._parked is not None:
            shutil.rmtree(self._parked, ignore_errors=True)

    def best(self) -> FrozenTrial | None:
        """See `hpo.study.records.best_complete`, of those that compare."""
        with self._lock:
            return best_complete(comparable(self._record, self._study.get_trials(deepcopy=False)))

    def recover(self) -> int:
        """Recover the trials of a dead launcher and queue the lost ones; return how many died."""
        with self._lock:
            n_dead = recover(self._study, self._space, self._record)
            self._retries.requeue()
        return n_dead

    @property
    def study(self) -> Study:
        return self._study

    def fail_running(self, *, owned: bool) -> None:
        """Mark as FAIL what is left RUNNING after the storage failed.

        Args:
            owned: the study's lock is still held, so every trial that is RUNNING is ours.
        """
        with self._lock:
            fail_running(self._study, None if owned else self._asked)

    def requeue(self) -> None:
        """See `hpo.execution.failure_policy.Retries.requeue`."""
        with self._lock:
            self._retries.requeue()

    def start(self, runner: str, threads: int, device: str = "cpu") -> Assignment:
        """Take the next trial: a queued one if there is any, else a new suggestion.

        One with a `violation` is not to be trained but pruned.
        """
        with self._lock:
            n_existing = len(self._study.get_trials(deepcopy=False))
            self._study.sampler = make_sampler(self._config, n_existing)
            n_before = n_ended(self._study)
            trial = self._study.ask()
            self._asked.add(trial.number)
            before = attempt = self._retries.attempt_of(trial)
            assert trial.datetime_start is not None
            started_ms = attempt.started_ms or milliseconds(trial.datetime_start)
            attempt = replace(
                attempt,
                threads=threads,
                runner=runner,
                device=device,
                started_ms=started_ms,
                after=n_before,
                processor=processor_of(device),
            )
            outdated = _outdated(before, attempt) if trial.user_attrs.get(EPOCHS) else ""
            if not outdated:
                trial.set_user_attr(ATTEMPT, attempt.as_dict())
            train_config = self._space.suggest(trial, attempt.seed)
            assignment = Assignment(trial, train_config, attempt, self._config.objective)
            excess = self._constraints.excess(assignment.config)
            for name, value in excess.items():
                trial.set_constraint(name, value)
            assignment.violation = self._constraints.violation(excess)
            if assignment.violation:
                return assignment
            if self._parked is not None:
                assignment.snapshot = self._parked / f"trial-{trial.number}.safetensors"
            if trial.user_attrs.get(EPOCHS):  # it was parked
                assignment.outdated = outdated
                self._recall(assignment)
            return assignment

    def _recall(self, assignment: Assignment) -> None:
        """Take in what the storage has of a parked trial."""
        frozen = self._study._storage.get_trial(assignment.trial._trial_id)
        assignment.stored = epochs_of(frozen)
        assignment.times_ms = [int(time_ms) for time_ms in assignment.stored["time_ms"]]
        assignment.reported = set(frozen.intermediate_values)
        if assignment.snapshot is None or assignment.outdated:
            return
        try:
            check_snapshot(assignment.snapshot, assignment.config)
        except CheckpointError as error:
            which = f"trial {assignment.number}"
            assignment.notice = f"{which} was parked and starts again at its first epoch: {error}"

    def claim(self, assignment: Assignment) -> bool:
        """Whether the trial may go on; False while another one trains the same config.

        Afterwards the config is this trial's to train, or `same_as` tells who has trained it.
        """
        with self._lock:
            assignment.same_as = self._known.trial(assignment.config)
            if assignment.same_as is not None:
                return True
            return self._known.claim(assignment.config, assignment.number)

    def release(self, assignment: Assignment) -> None:
        """The trial trains no more, whatever became of it."""
        with self._lock:
            self._known.release(assignment.config, assignment.number)

    def report(self, assignment: Assignment, result: EpochResult) -> bool:
        """Record one epoch; True if the trial is hopeless.

        Raises:
            OtherTraining: the storage has other numbers of it, from before it was parked.
        """
        if difference := assignment.difference(result):
            raise OtherTraining(difference)
        assignment.results.append(result)
        if len(assignment.times_ms) < len(assignment.results):
            assignment.times_ms.append(time.time_ns() // 1_000_000)
        if result.epoch in assignment.reported:
            return False
        with self._lock:
            assignment.trial.report(assignment.value_of(result), result.epoch)
            if time.monotonic() - assignment.flushed >= FLUSH_SECONDS:
                self._flush(assignment)
            return self._rule.is_hopeless(assignment.number, assignment.values)

    def _flush(self, assignment: Assignment) -> None:
        if len(assignment.times_ms) > len(assignment.results):
            return  # it tells its epochs again; the storage has more of them
        columns = epochs_to_columns(assignment.results, assignment.times_ms)
        assignment.trial.set_user_attr(EPOCHS, columns)
        assignment.flushed = time.monotonic()

    def complete(self, assignment: Assignment) -> Outcome:
        """End a trial with the value of its best epoch; what was recorded of it."""
        best = assignment.best
        assert best is not None, "a training ended without an epoch"
        value = assignment.value_of(best)
        return self._finish(assignment, TrialState.COMPLETE, assignment.outcome(), value)

    def prune(self, assignment: Assignment) -> Outcome:
        return self._finish(assignment, TrialState.PRUNED, assignment.outcome())

    def fail(self, assignment: Assignment, outcome: Outcome) -> tuple[TrialState, Outcome]:
        """End a trial without a result of its own.

        Returns:
            PRUNED if it is the config's fault, so that it counts and the sampler learns from it;
            else FAIL. And what was recorded.
        """
        with self._lock:
            bad = self._retries.is_bad_config(assignment.attempt, outcome.cause)
        state = TrialState.PRUNED if bad else TrialState.FAIL
        return state, self._finish(assignment, state, outcome)

    def park(self, assignment: Assignment) -> None:
        """Put a trial back: the next `start` goes on with it."""
        with self._lock:
            self._flush(assignment)
            self._study._storage.set_trial_state_values(
                assignment.trial._trial_id, TrialState.WAITING
            )
            self._asked.discard(assignment.number)

    def tell_again(self, assignment: Assignment) -> tuple[TrialState, Outcome]:
        """End a trial with what the earlier trial of the same config has shown."""
        same = assignment.same_as
        assert same is not None
        was = Outcome.of(same) or Outcome(0, 0.0)
        outcome = replace(was, seconds=0.0, same_as=same.number, usage={})
        source = Attempt.of(same)
        assert source is not None, f"trial {same.number} has an outcome but never started"
        # the numbers are of that training: whoever trains this one again needs its seed
        attempt = replace(
            assignment.attempt,
            seed=source.seed,
            threads=source.threads,
            device=source.device,
            processor=source.processor,
        )
        columns = epochs_of(same)
        now = [time.time_ns() // 1_000_000] * len(columns.get("epoch", []))
        with self._lock:
            for epoch, value in same.intermediate_values.items():
                assignment.trial.report(value, epoch)
            outcome = replace(outcome, order=n_ended(self._study))
            assignment.trial.set_user_attr(ATTEMPT, attempt.as_dict())
            assignment.trial.set_user_attr(EPOCHS, {**columns, "time_ms": now} if now else {})
            assignment.trial.set_user_attr(OUTCOME, outcome.as_dict())
            result = same.value if same.state is TrialState.COMPLETE else None
            self._study.tell(assignment.trial, result, state=same.state)
        return same.state, outcome

    def _finish(
        self,
        assignment: Assignment,
        state: TrialState,
        outcome: Outcome,
        value: float | None = None,
    ) -> Outcome:
        with self._lock:
            self._flush(assignment)
            outcome = replace(outcome, order=n_ended(self._study))
            assignment.trial.set_user_attr(OUTCOME, outcome.as_dict())
            self._remember(self._study.tell(assignment.trial, value, state=state))
        if assignment.snapshot:
            with suppress(OSError):  # most were never parked; what is left over, tidy() removes
                assignment.snapshot.unlink()
        return outcome


def _outdated(parked: Attempt, now: Attempt) -> str:
    """Return why a parked attempt cannot go on where it is now; "" if it can, or nobody knows."""
    if not parked.processor or parked.place == now.place:
        return ""
    return f"it was parked on {parked.place}, and {now.place} gives other numbers; {ANEW}"
