"""A trial while it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optuna import Trial
from optuna.trial import FrozenTrial

from hpo.study.records import Attempt, Cause, Outcome, epochs_to_columns
from hpo.study.usage import resource_usage
from recsys.config import TrainConfig
from recsys.evaluation.metrics import MetricName
from recsys.training.epoch import EpochResult


@dataclass(frozen=True)
class Ended:
    """Why the scheduler stopped: "complete", "timeout", "interrupted" or "terminated"."""

    reason: str
    n_finished: int


ANEW = "its configuration starts again as a new attempt"


@dataclass
class Assignment:
    """A trial that runs: what to train, and what it has shown so far.

    Attributes:
        objective: what the study maximizes.
        times_ms: when each epoch ended first; longer than `results` while a parked trial tells its
            earlier epochs again.
        reported: epochs that the storage has.
        stored: the columns of these, see `hpo.study.records.epochs_to_columns`; {} if it starts
            anew.
        outdated: why a parked trial cannot go on here; "" if it can.
        notice: a line for people when it starts; "" if there is nothing to say.
        same_as: a finished trial of the same config, which is told again instead of trained.
        snapshot: file in which it is put aside when it is parked.
        started, cpu_started: `time.monotonic()`, `time.process_time()`.
        violation: the constraints that its config breaks, so that it is not trained; "" if none.
        overdue: whether it was killed for its time limit.
    """

    trial: Trial
    config: TrainConfig
    attempt: Attempt
    objective: MetricName
    results: list[EpochResult] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    reported: set[int] = field(default_factory=set)
    stored: Mapping[str, Sequence[float]] = field(default_factory=dict)
    outdated: str = ""
    notice: str = ""
    same_as: FrozenTrial | None = None
    snapshot: Path | None = None
    violation: str = ""
    overdue: bool = False
    started: float = field(default_factory=time.monotonic)
    cpu_started: float = field(default_factory=time.process_time)
    flushed: float = field(default_factory=time.monotonic)

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def best(self) -> EpochResult | None:
        """The epoch with the best objective, the first of equals; None before the first."""
        return max(self.results, key=self.value_of, default=None)

    @property
    def values(self) -> list[float]:
        """The objective of each epoch."""
        return [self.value_of(result) for result in self.results.copy()]

    def value_of(self, result: EpochResult) -> float:
        """The objective of one epoch."""
        return result.metrics.value(self.objective)

    @property
    def seconds(self) -> float:
        """Wall time of its epochs."""
        return sum(result.seconds for result in self.results)

    def difference(self, result: EpochResult) -> str:
        """Return how the next epoch differs from what is stored of it; "" if it does not."""
        place = len(self.results)
        for name, (now,) in epochs_to_columns([result], [0]).items():
            column = self.stored.get(name, ())
            if name != "time_ms" and place < len(column) and column[place] != now:
                return (
                    f"epoch {result.epoch} came out otherwise than before it was parked "
                    f"({name} {now:g}, was {column[place]:g}); {ANEW}"
                )
        return ""

    def outcome(self, cause: Cause | None = None, message: str = "", trace: str = "") -> Outcome:
        if self.violation and not cause:
            cause, message = "infeasible", self.violation
        best_epoch = self.best.epoch if self.best else 0
        used = resource_usage(self.results, self.started, self.cpu_started)
        return Outcome(best_epoch, self.seconds, cause, message, trace, usage=used)
