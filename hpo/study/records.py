"""What a study says about itself and its trials, and under which names the storage keeps it.

The only module that knows the attribute names. The storage is the one record: MLflow, reports
and promotion read it through here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from hpo.config import StudyConfig
from recsys.messages import count

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

    from recsys.training import EpochResult
from optuna.trial import TrialState

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)  # what counts


PROMOTION_OF = "hpo.promotion_of"  # tag of a run: study uid / trial


STUDY = "hpo:study"  # StudyRecord, as JSON
EPOCHS = "hpo:epochs"  # columns of numbers, one per epoch
OUTCOME = "hpo:outcome"  # Outcome
ATTEMPT = "hpo:attempt"  # Attempt

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
"""Why a trial has no result of its own.

FAIL, does not count, tried again: worker-died (3 tries), out-of-memory (once more, since others
used memory too), launcher-died, interrupted. FAIL and not tried again: error, a bug. PRUNED, so it
counts and the sampler learns from it: diverged, time-limit, out-of-memory the second time, and
infeasible, which breaks a constraint and is not trained at all.
"""


@dataclass(frozen=True)
class StudyRecord:
    """Written when the study is made; when it goes on, with what may have changed.

    Attributes:
        uid: UUID; names of studies are unique only within one storage.
        config: the whole StudyConfig.
        data_name: for people; the data itself is config.data.
        split_fingerprint: of the data and of every row's part in the split.
        counts: n_users, n_items, n_train, n_validation, n_test.
        baselines: name -> metric -> value on validation, e.g. popularity.
        environment: versions of Python and packages, git commit, platform.
        changes: what was accepted later, see `hpo.study.lifecycle.open_study`: {"trial": the first
            one after it, "other_data": whether values before it compare no more, "what": lines}.
        infeasible: COMPLETE trials that break a constraint which came later.
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
        """The first trial whose values are of today's data."""
        return max((note["trial"] for note in self.changes if note["other_data"]), default=0)

    @property
    def constrained_from(self) -> int:
        """The first trial under today's constraints."""
        return max((note["trial"] for note in self.changes if _limits(note["what"])), default=0)

    def to_json(self) -> str:
        return json.dumps({**self.__dict__, "config": self.config.model_dump(mode="json")})

    @classmethod
    def of(cls, study: Study) -> StudyRecord:
        """The record of a study made by hpo; KeyError for any other study."""
        values = json.loads(study.user_attrs[STUDY])
        config = StudyConfig.model_validate(values["config"])
        lists = {name: tuple(values.get(name, ())) for name in ("changes", "infeasible")}
        return cls(**{**values, "config": config, **lists})


def _limits(changes: Iterable[str]) -> bool:
    """Whether a constraint is among them, see `hpo.study.lifecycle`."""
    return any(change.startswith("constraints.") for change in changes)


@dataclass(frozen=True)
class Attempt:
    """Written when a trial starts.

    Attributes:
        number: 1 for the first try of a config.
        origin: number of the first trial with this config (its own, if this is the first).
        seed: TrainConfig.seed of this training; the same in all attempts. Of a trial that was told
            again: the seed, threads and device of the training that its numbers are from.
        threads: torch threads of the worker.
        runner: "inline" or "process".
        device: torch device name.
        started_ms: since 1970, when it started first; Optuna forgets that when a trial is parked.
        after: how many trials had ended when it was asked for: what the sampler had seen.
        processor: kind of CPU or GPU, see `hpo.study.environment.processor_of`; "" in old records.
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

    @property
    def place(self) -> str:
        """Return what else than config, seed and data decides its numbers, in words."""
        return f"{self.processor} with {count(self.threads, 'thread')}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, trial: FrozenTrial | Trial) -> Attempt | None:
        """None for a trial that never started."""
        values = trial.user_attrs.get(ATTEMPT)
        return None if values is None else cls(**values)


@dataclass(frozen=True)
class Outcome:
    """Written just before a trial gets its final state.

    Attributes:
        best_epoch: 0 if no epoch finished.
        seconds: wall time of its epochs.
        cause: why it has no result of its own; None for COMPLETE, and PRUNED by the pruner.
        message: one sentence; the traceback follows where there is one.
        same_as: number of an earlier trial with the same config, which was told again instead of
            trained again; else None.
        usage: what it took, by name, see `hpo.study.usage`; empty if it was not trained.
        order: how many trials had ended before it. With several workers the order of ends is part
            of the result: the same seed and the same order give the same suggestions.
    """

    best_epoch: int
    seconds: float
    cause: Cause | None = None
    message: str = ""
    traceback: str = ""
    same_as: int | None = None
    usage: Mapping[str, float] = field(default_factory=dict, compare=False)
    order: int | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, trial: FrozenTrial) -> Outcome | None:
        """None while the trial runs."""
        values = trial.user_attrs.get(OUTCOME)
        return None if values is None else cls(**values)


def epochs_to_columns(results: list[EpochResult], times_ms: list[int]) -> dict[str, list[float]]:
    """Columns `epoch`, `time_ms` (since 1970, when it ended), `train_loss` and all metrics.

    Written now and then while the trial runs, and always before it ends.
    """
    columns: dict[str, list[float]] = {
        "epoch": [result.epoch for result in results],
        "time_ms": list(times_ms),
        "train_loss": [result.train_loss for result in results],
    }
    for name in results[0].metrics.as_dict() if results else ():
        columns[name] = [result.metrics.as_dict()[name] for result in results]
    return columns


def epochs_of(trial: FrozenTrial) -> dict[str, list[float]]:
    """The columns of `epochs_to_columns`; {} if none were written."""
    columns: dict[str, list[float]] = trial.user_attrs.get(EPOCHS, {})
    return columns


def best_complete(trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The COMPLETE trial with the highest value, the earliest of equals; None if there is none."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)


class Numbered(Protocol):
    """A trial, in whatever form."""

    @property
    def number(self) -> int: ...


T = TypeVar("T", bound=Numbered)


def comparable(record: StudyRecord, trials: Iterable[T]) -> list[T]:
    """Those that may win: all, unless other data or tighter constraints came on the way."""
    out, first = set(record.infeasible), record.comparable_from
    return [trial for trial in trials if trial.number >= first and trial.number not in out]


def milliseconds(moment: datetime) -> int:
    """Since 1970. Optuna keeps local time without a zone."""
    return round(moment.timestamp() * 1000)


def first_start_ms(trial: FrozenTrial) -> int | None:
    """When a trial started, parked or not; None if it never did."""
    if trial.datetime_start is None:
        return None
    attempt = Attempt.of(trial)
    return (attempt and attempt.started_ms) or milliseconds(trial.datetime_start)
