"""Constraints and ranges of stored trials, as samplers read them after a change of either.

Constraints on a config are checked before its training, constraints on metrics after it.
"""

from __future__ import annotations

from collections.abc import Mapping

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from hpo.config import SearchSpace, StudyConfig, refusal
from hpo.execution.running_trial import Assignment
from hpo.execution.store.owned_storage import OwnedStorage
from hpo.search import Constraints, Measure, broken_limits, metric_excess
from hpo.study import COUNTED, Outcome, StudyRecord, best_metrics, store_infeasible


class StoredConstraints:
    """The constraints of one study, and the trials that violate them. Not thread-safe.

    Args:
        study: the study, on the storage of its only writer.
        config: the study's config.
        measures: measures of the limited quantities, see `hpo.search.constraints`.

    Attributes:
        record: the study's record, with the numbers of the trials that cannot win.
    """

    def __init__(self, study: Study, config: StudyConfig, measures: Mapping[str, Measure]) -> None:
        self._study, self._config = study, config
        self._constraints = Constraints(config, measures)
        self._space = SearchSpace(config)
        self.record = StudyRecord.of(study)

    def refresh_for_samplers(self) -> None:
        """Rewrite ranges and constraints of every finished trial as the config has them now."""
        storage = self._study._storage
        assert isinstance(storage, OwnedStorage), "the study of another writer"
        for trial in self._study.get_trials(deepcopy=False, states=COUNTED):
            self.refresh_ranges(trial)
            if Outcome.of(trial) is None:
                continue  # ended from outside, perhaps without parameters
            excess = self._constraints.all_excess(trial, best_metrics(trial))
            if excess != trial.constraints:
                storage.replace_constraints(trial._trial_id, excess)

    def refresh_ranges(self, trial: FrozenTrial) -> None:
        """Rewrite the ranges of a trial as the config has them now.

        Args:
            trial: a trial as the storage has it.
        """
        storage = self._study._storage
        assert isinstance(storage, OwnedStorage), "the study of another writer"
        storage.replace_distributions(trial._trial_id, self._space.changed(trial))

    def check(self, assignment: Assignment) -> None:
        """Store by how much a trial's config exceeds limits; a `violation` forbids its training.

        So does a refusal of the model's class, which may have rules across hyperparameters.
        """
        if why := refusal(assignment.config):
            assignment.violation = why
            return
        excess = self._constraints.excess(assignment.config)
        for name, value in excess.items():
            assignment.trial.set_constraint(name, value)
        assignment.violation = self._constraints.violation(excess)

    def judge(
        self, assignment: Assignment, metrics: Mapping[str, float], state: TrialState
    ) -> None:
        """Store by how much a trial breaks limits of metrics, before its final state.

        Args:
            assignment: the trial.
            metrics: its metrics at its best epoch; empty if it has none.
            state: the state in which it ends; a COMPLETE trial could win.
        """
        if not metrics:
            return
        for name, value in metric_excess(self._config, metrics).items():
            assignment.trial.set_constraint(name, value)
        assignment.broken = broken_limits(self._config, metrics)
        out = self.record.infeasible
        complete = state is TrialState.COMPLETE
        if complete and assignment.broken and assignment.number not in out:
            self.record = store_infeasible(self._study, self.record, (*out, assignment.number))
