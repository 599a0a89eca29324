"""Optuna's cached storage for the only process that writes a study, many epochs at a time.

Optuna's own cache reads every unfinished trial again at each call, because any process may have
written to it; a call then costs as much as there are running trials. The launcher holds the study's
lock, so it knows what it wrote. Others may still end a trial or queue one (optuna-dashboard, a
script), so a short query looks for that every LOOK_SECONDS.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb.models import (
    TrialIntermediateValueModel,
    TrialModel,
    TrialUserAttributeModel,
)
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Executable, FromClause, Table, or_, select
from sqlalchemy.dialects import postgresql, sqlite

CONSTRAINT = "constraints:"  # beginning of the system attributes that Optuna reads as constraints
LOOK_SECONDS = 1.0  # highest age of what others did: a queued trial, one ended from outside


def for_one_writer(study: Study) -> tuple[Study, OwnedStorage]:
    """Return the study on a storage for its only writer, and that storage.

    Args:
        study: a study in a database.
    """
    cached = study._storage
    assert isinstance(cached, _CachedStorage), "a study that is in no database"
    storage = OwnedStorage(cached._backend)
    return Study(study.study_name, storage, pruner=study.pruner), storage


@dataclass(frozen=True)
class EpochWrite:
    """One epoch of a running trial, as it is to be stored.

    Attributes:
        trial_id: Optuna's id of the trial.
        step: number of the epoch.
        value: the objective.
        attributes: user attributes to set as well, by name.
    """

    trial_id: int
    step: int
    value: float
    attributes: Mapping[str, Any]


class OwnedStorage(_CachedStorage):
    """A storage whose trials this process writes: to the database first, then in memory.

    Callers must not change what they get. Attributes that others add to a running trial are seen
    when it ends.

    Args:
        backend: Optuna's storage in a database.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._looked: dict[int, float] = {}  # time of the last look at each study
        name = backend.engine.name
        values, attributes = TrialIntermediateValueModel, TrialUserAttributeModel
        self._upsert_values = _upsert(name, values.__table__, "trial_id", "step")
        self._upsert_attributes = _upsert(name, attributes.__table__, "trial_id", "key")

    def forget(self) -> None:
        """Read everything again at the next call; for writes that may have failed half-way."""
        with self._lock:
            self._studies.clear()
            self._trial_id_to_study_id_and_number.clear()
            self._study_id_and_number_to_trial_id.clear()
            self._looked.clear()

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a copy of a trial; only its attributes are shared.

        Args:
            trial_id: Optuna's id of the trial.
        """
        trial = self._in_memory(trial_id)
        if trial is None:
            return super().get_trial(trial_id)
        copied = copy.copy(trial)
        for name in ("params", "distributions", "user_attrs", "system_attrs"):
            setattr(copied, name, dict(getattr(trial, name)))
        copied.intermediate_values = dict(trial.intermediate_values)
        return copied

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Write a parameter, as Optuna's storages do."""
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        if trial := self._in_memory(trial_id):
            value = distribution.to_external_repr(param_value_internal)
            trial.params = {**trial.params, param_name: value}
            trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Write the value of a step, as Optuna's storages do."""
        with self._watching():
            super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        if trial := self._in_memory(trial_id):
            trial.intermediate_values = {**trial.intermediate_values, step: intermediate_value}

    def write_epochs(self, epochs: Sequence[EpochWrite]) -> Collection[int]:
        """Write epochs of running trials in one transaction.

        Args:
            epochs: the epochs, of different trials.

        Returns:
            The ids of the trials that do not run any more, of which nothing is written.
        """
        ids = [epoch.trial_id for epoch in epochs]
        running = select(TrialModel.trial_id).where(
            TrialModel.trial_id.in_(ids), TrialModel.state == TrialState.RUNNING
        )
        with _create_scoped_session(self._backend.scoped_session) as session:
            open_ids = set(session.scalars(running))
            written = [epoch for epoch in epochs if epoch.trial_id in open_ids]
            if written:
                session.execute(self._upsert_values, [_value_row(epoch) for epoch in written])
            if rows := [row for epoch in written for row in _attribute_rows(epoch)]:
                session.execute(self._upsert_attributes, rows)
        for epoch in written:
            if trial := self._in_memory(epoch.trial_id):
                trial.intermediate_values = {**trial.intermediate_values, epoch.step: epoch.value}
                trial.user_attrs = {**trial.user_attrs, **epoch.attributes}
        return set(ids) - open_ids

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write a user's attribute, as Optuna's storages do."""
        with self._watching():
            super().set_trial_user_attr(trial_id, key, value)
        if trial := self._in_memory(trial_id):
            trial.user_attrs = {**trial.user_attrs, key: value}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write Optuna's own attribute, as Optuna's storages do."""
        with self._watching():
            super().set_trial_system_attr(trial_id, key, value)
        if trial := self._in_memory(trial_id):
            trial.system_attrs = {**trial.system_attrs, key: value}

    def replace_constraints(self, trial_id: int, excess: Mapping[str, float]) -> None:
        """Set the constraints that this process reads of a finished trial, which nobody may write.

        The database keeps those under which the trial ended; samplers read today's.

        Args:
            trial_id: Optuna's id of the trial.
            excess: by how much each limit is exceeded, by its name.
        """
        if trial := self._in_memory(trial_id):
            others = {k: v for k, v in trial.system_attrs.items() if not k.startswith(CONSTRAINT)}
            now = {f"{CONSTRAINT}{name}": value for name, value in excess.items()}
            trial.system_attrs = {**others, **now}

    def replace_distributions(
        self, trial_id: int, distributions: Mapping[str, BaseDistribution]
    ) -> None:
        """Set distributions that this process reads of a finished trial, as of today's space.

        Some samplers take the ranges to search from earlier trials.

        Args:
            trial_id: Optuna's id of the trial.
            distributions: by name of the parameter; each must hold the trial's value.
        """
        if trial := self._in_memory(trial_id):
            trial.distributions = {**trial.distributions, **distributions}

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Write a state, as Optuna's storages do; read the trial anew, for the database's times."""
        with self._watching():
            is_set = super().set_trial_state_values(trial_id, state, values)
        with self._lock:
            known = self._trial_id_to_study_id_and_number.get(trial_id)
        if known:
            self._read(known[0], trial_id)
        return is_set

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        """Read all trials the first time; later those that others queued or ended."""
        now = time.monotonic()
        looked = self._looked.get(study_id)
        if looked is None:
            super()._read_trials_from_remote_storage(study_id)
        elif now - looked < LOOK_SECONDS:
            return
        else:
            for trial_id in self._changed_outside(study_id):
                self._read(study_id, trial_id)
        self._looked[study_id] = now

    def _changed_outside(self, study_id: int) -> Collection[int]:
        """Return the ids of trials that are new, or have another state than in memory."""
        with self._lock:
            trials = self._studies[study_id].trials.values()
            states = {trial._trial_id: trial.state for trial in trials}
        is_new = TrialModel.trial_id > max(states, default=-1)
        is_open = TrialModel.state.in_((TrialState.RUNNING, TrialState.WAITING))
        query = select(TrialModel.trial_id, TrialModel.state).where(
            TrialModel.study_id == study_id, or_(is_new, is_open)
        )
        with _create_scoped_session(self._backend.scoped_session) as session:
            found = {row.trial_id: row.state for row in session.execute(query)}
        ended = {i for i, state in states.items() if not state.is_finished() and i not in found}
        return ended | {i for i, state in found.items() if states.get(i) is not state}

    def _read(self, study_id: int, trial_id: int) -> None:
        """Read one trial from the database."""
        trial = self._backend.get_trial(trial_id)
        with self._lock:
            self._add_trials_to_cache(study_id, [trial])

    def _in_memory(self, trial_id: int) -> FrozenTrial | None:
        """Return a trial from memory; None if it was never read."""
        with self._lock:
            known = self._trial_id_to_study_id_and_number.get(trial_id)
            return self._studies[known[0]].trials[known[1]] if known else None

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Look at once at what others did if a write meets a trial that they ended."""
        try:
            yield
        except UpdateFinishedTrialError:
            self._looked.update(dict.fromkeys(self._looked, float("-inf")))
            raise


def _upsert(dialect: str, table: FromClause, *key: str) -> Executable:
    """Return the statement that inserts a row, or replaces the row with the same key."""
    assert isinstance(table, Table)
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    others = [c.name for c in table.columns if not (c.primary_key or c.name in key)]
    replaced = {name: insert.excluded[name] for name in others}
    upsert: Executable = insert.on_conflict_do_update(index_elements=list(key), set_=replaced)
    return upsert


def _value_row(epoch: EpochWrite) -> dict[str, Any]:
    """Return the row of an epoch's value."""
    stored, kind = TrialIntermediateValueModel.intermediate_value_to_stored_repr(epoch.value)
    return {
        "trial_id": epoch.trial_id,
        "step": epoch.step,
        "intermediate_value": stored,
        "intermediate_value_type": kind,
    }


def _attribute_rows(epoch: EpochWrite) -> Iterator[dict[str, Any]]:
    """Yield a row for each of an epoch's attributes."""
    for key, value in epoch.attributes.items():
        yield {"trial_id": epoch.trial_id, "key": key, "value_json": json.dumps(value)}
