"""Records of studies and trials, stored as attributes in the Optuna storage.

Only this module knows the attribute names. The storage is the single source of truth: MLflow,
reports and promotion read it through this module.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from optuna.storages import RDBStorage
from optuna.storages._rdb.models import NOT_FOUND_MSG, StudyModel, StudySystemAttributeModel
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import TrialState
from sqlalchemy import and_, select

from hpo.config import StudyConfig
from recsys.messages import count

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

    from recsys.training import EpochResult

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)  # the states that count towards n_trials


PROMOTION_OF = "hpo.promotion_of"  # tag of a promotion's run: study uid / trial


STUDY = "hpo:study"  # StudyRecord, as JSON
EPOCHS = "hpo:epochs"  # columns of numbers, one per epoch
OUTCOME = "hpo:outcome"  # Outcome
ATTEMPT = "hpo:attempt"  # Attempt
MOVED = "hpo:moved"  # Moved, a system attribute
SNAPSHOTS = "hpo:snapshots"  # number and sha256 of each parked training, a system attribute

Cause = Literal[
    "worker-died",
    "out-of-memory",
    "diverged",
    "time-limit",
    "error",
    "launcher-died",
    "interrupted",
    "infeasible",
]
"""Reason why a trial has no result of its own.

FAIL, which does not count, and tried again: worker-died (3 tries), out-of-memory (once more, since
other processes used memory too), launcher-died, interrupted. FAIL and not tried again: error, a
bug. PRUNED, which counts and teaches the sampler: diverged, time-limit, out-of-memory the second
time, and infeasible, a config that breaks a constraint and is not trained at all.
"""


@dataclass(frozen=True)
class StudyRecord:
    """The record of a study, written when the study is made and updated when it is continued.

    Attributes:
        uid: UUID; names of studies are unique only within one storage.
        config: the whole StudyConfig.
        data_name: short name of the data for messages; config.data identifies the data.
        split_fingerprint: hash of the data and of every row's part in the split.
        counts: n_users, n_items, n_train, n_validation, n_test.
        baselines: values on validation by baseline, such as popularity, then by metric.
        environment: versions of Python and packages, git commit, platform.
        changes: accepted changes, see `hpo.study.lifecycle.open_study`: {"trial": number of the
            first trial after the change, "other_data": True if earlier values no longer compare,
            "what": lines, "infeasible": the list below as it was before the change}.
        infeasible: numbers of COMPLETE trials that break a constraint: of their metrics, or one set
            after they had run.
    """

    uid: str
    config: StudyConfig
    data_name: str
    split_fingerprint: str
    counts: Mapping[str, int]
    baselines: Mapping[str, Mapping[str, float]]
    environment: Mapping[str, str]
    changes: tuple[Mapping[str, Any], ...] = ()
    infeasible: tuple[int, ...] = ()

    @property
    def comparable_from(self) -> int:
        """Return the number of the first trial on the study's present data."""
        return max((note["trial"] for note in self.changes if note["other_data"]), default=0)

    @property
    def constrained_from(self) -> int:
        """Return the number of the first trial under the study's present constraints."""
        return max((note["trial"] for note in self.changes if _limits(note["what"])), default=0)

    def to_json(self) -> str:
        """Return the record as JSON, as `of` reads it."""
        return json.dumps({**self.__dict__, "config": self.config.model_dump(mode="json")})

    @classmethod
    def of(cls, study: Study) -> StudyRecord:
        """Return the record of a study.

        Raises:
            KeyError: the study was not made by hpo.
        """
        values = json.loads(study.user_attrs[STUDY])
        config = StudyConfig.model_validate(values["config"])
        lists = {name: tuple(values.get(name, ())) for name in ("changes", "infeasible")}
        return cls(**{**values, "config": config, **lists})


def system_attribute(study: Study, name: str) -> Any:
    """Return one of the study's system attributes as the storage has it now; None: not there.

    The MLflow mirror keeps some for each trial, so all of them would be too many to read.

    Args:
        study: the study.
        name: name of the attribute.

    Raises:
        KeyError: the study was deleted, see `hpo.study.storage.is_lost`.
    """
    storage: Any = study._storage
    backend = getattr(storage, "_backend", storage)  # of Optuna's cache, or without one
    if not isinstance(backend, RDBStorage):
        return storage.get_study_system_attrs(study._study_id).get(name)
    kept = StudySystemAttributeModel
    ours = and_(kept.study_id == StudyModel.study_id, kept.key == name)
    query = select(kept.value_json).select_from(StudyModel).outerjoin(kept, ours)
    with _create_scoped_session(backend.scoped_session) as session:
        found = session.scalars(query.where(StudyModel.study_id == study._study_id)).all()
    if not found:
        raise KeyError(NOT_FOUND_MSG)  # as Optuna's own queries
    return None if found[0] is None else json.loads(found[0])


def new_uid() -> str:
    """Return a new random UUID for a study."""
    return str(uuid.uuid4())


def _limits(changes: Iterable[str]) -> bool:
    """Return True if a constraint is among the changed settings, see `hpo.study.lifecycle`."""
    return any(change.startswith("constraints.") for change in changes)


@dataclass(frozen=True)
class Moved:
    """The mark of a study that `hpo copy-study` has moved: it goes on elsewhere under the same uid.

    Attributes:
        to: URL of the other storage, without its password.
        folder: folder of the other storage's files on the machine that moved the study.
    """

    to: str
    folder: str

    @classmethod
    def of(cls, study: Study) -> Moved | None:
        """Return the mark of a study; None if the study goes on here."""
        values = system_attribute(study, MOVED)
        return None if values is None else cls(**values)


@dataclass(frozen=True)
class Attempt:
    """The record of one try to train a config, written when the trial starts.

    A trial that copies the result of an earlier trial (`Outcome.same_as`) has the seed, threads,
    device and processor of that earlier training.

    Attributes:
        number: 1 for the first try of a config.
        origin: number of the first trial with this config; the trial's own number if it is the
            first.
        seed: TrainConfig.seed of this training; the same in all attempts.
        threads: torch threads of the worker.
        runner: "inline", "process" or "ray".
        device: torch device name.
        started_ms: first start, in milliseconds since 1970; Optuna forgets the start of a trial
            that is parked.
        after: number of trials that had ended when this trial was suggested; the sampler had seen
            the results of these.
        processor: model of CPU or GPU, see `hpo.runners.processor_of`; "" in old
            records.
        node: name and id of the machine of a cluster that trained; "" for the launcher's machine.
    """

    number: int
    origin: int
    seed: int
    threads: int
    runner: str
    device: str = "cpu"
    started_ms: int | None = field(default=None, compare=False)
    after: int | None = field(default=None, compare=False)
    processor: str = field(default="", compare=False)
    node: str = field(default="", compare=False)

    @property
    def place(self) -> str:
        """Return processor and threads in words, which decide the numbers too."""
        return f"{self.processor} with {count(self.threads, 'thread')}"

    def as_dict(self) -> dict[str, Any]:
        """Return the attempt as JSON-compatible values."""
        return asdict(self)

    @classmethod
    def of(cls, trial: FrozenTrial | Trial) -> Attempt | None:
        """Return the attempt of a trial; None if the trial never started."""
        values = trial.user_attrs.get(ATTEMPT)
        return None if values is None else cls(**values)


@dataclass(frozen=True)
class Outcome:
    """The record of a trial's end, written just before the trial gets its final state.

    Attributes:
        best_epoch: number of the best epoch; 0 if no epoch finished.
        seconds: wall time of all epochs.
        cause: reason why the trial has no result of its own; None for COMPLETE, and PRUNED by the
            pruner.
        message: one sentence on the cause; "" if there is none.
        traceback: traceback of an error; "" if there is none.
        same_as: number of the earlier trial with the same config, if its result was copied instead
            of training again; else None.
        usage: CPU time and memory by name, see `hpo.study.machine`; empty if nothing was trained.
        order: number of trials that ended before this one. With several workers the order of ends
            is part of the result: the same seed and the same order give the same suggestions.
        ended_ms: end of the trial, in milliseconds since 1970; Optuna's own time of the end has no
            time zone. None in old records.
    """

    best_epoch: int
    seconds: float
    cause: Cause | None = None
    message: str = ""
    traceback: str = ""
    same_as: int | None = None
    usage: Mapping[str, float] = field(default_factory=dict, compare=False)
    order: int | None = field(default=None, compare=False)
    ended_ms: int | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON-compatible values."""
        return asdict(self)

    @classmethod
    def of(cls, trial: FrozenTrial) -> Outcome | None:
        """Return the outcome of a trial; None if the trial has not ended."""
        values = trial.user_attrs.get(OUTCOME)
        return None if values is None else cls(**values)


def epochs_to_columns(results: list[EpochResult], times_ms: list[int]) -> dict[str, list[float]]:
    """Return the columns `epoch`, `time_ms`, `train_loss` and all metrics, a row for each epoch.

    The ledger stores them from time to time while the trial runs, and always before it ends.

    Args:
        results: the epochs.
        times_ms: end of each epoch, in milliseconds since 1970.
    """
    columns: dict[str, list[float]] = {
        "epoch": [result.epoch for result in results],
        "time_ms": list(times_ms),
        "train_loss": [result.train_loss for result in results],
    }
    values = [result.metrics.as_dict() for result in results]
    for name in values[0] if values else ():
        if all(name in each for each in values):  # cut-offs may change while a trial is parked
            columns[name] = [each[name] for each in values]
    return columns


def epochs_of(trial: FrozenTrial) -> dict[str, list[float]]:
    """Return the stored columns of a trial, see `epochs_to_columns`; {} if none were stored."""
    columns: dict[str, list[float]] = trial.user_attrs.get(EPOCHS, {})
    return columns


def best_metrics(trial: FrozenTrial) -> dict[str, float]:
    """Return a trial's metrics at its best epoch so far; {} if that epoch is not stored."""
    columns, outcome = epochs_of(trial), Outcome.of(trial)
    best = outcome.best_epoch if outcome else 0
    if best not in columns.get("epoch", []):
        return {}
    row = columns["epoch"].index(best)
    others = {"epoch", "time_ms", "train_loss"}
    return {name: column[row] for name, column in columns.items() if name not in others}


def best_complete(trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """Return the COMPLETE trial of the highest value, of equals the earliest; None without one."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)


class Numbered(Protocol):
    """A trial in any form that has a number."""

    @property
    def number(self) -> int:
        """Return the number of the trial in its study."""


T = TypeVar("T", bound=Numbered)


def comparable(record: StudyRecord, trials: Iterable[T]) -> list[T]:
    """Return the trials that may win, in their order.

    Trials on earlier data and trials that break constraints are left out.

    Args:
        record: record of the study.
        trials: trials of the study.
    """
    out, first = set(record.infeasible), record.comparable_from
    return [trial for trial in trials if trial.number >= first and trial.number not in out]


def milliseconds(moment: datetime) -> int:
    """Return a local time without time zone, as Optuna stores it, in milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def start_moment(trial: Trial) -> int:
    """Return the moment at which a trial has just been started, in milliseconds since 1970.

    The time that Optuna stores has no zone. In the repeated hour at the end of summer time it may
    be an hour off, which this machine's clock puts right.
    """
    assert trial.datetime_start is not None
    began, quarter = milliseconds(trial.datetime_start), 900_000  # zones differ by quarters
    return began + quarter * round((time.time_ns() // 1_000_000 - began) / quarter)


def first_start_ms(trial: FrozenTrial) -> int | None:
    """Return the first start of a trial in ms since 1970, before any parking; None: not started."""
    if trial.datetime_start is None:
        return None
    attempt = Attempt.of(trial)
    return (attempt and attempt.started_ms) or milliseconds(trial.datetime_start)


def end_ms(trial: FrozenTrial) -> int | None:
    """Return the end of a trial in ms since 1970; None: it has not ended."""
    if trial.datetime_complete is None:
        return None
    outcome = Outcome.of(trial)
    return (outcome and outcome.ended_ms) or milliseconds(trial.datetime_complete)
