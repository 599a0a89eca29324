"""A running trial with its results so far, and how the run of a scheduler ended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from optuna import Trial
from optuna.trial import FrozenTrial

from hpo.study import Attempt, Cause, Outcome, epochs_to_columns, resource_usage
from recsys.config import Hyperparameters
from recsys.evaluation import MetricName
from recsys.training import EpochResult

STOPS = ("requested", "interrupted", "terminated")  # reasons to stop that are not of the study


@dataclass(frozen=True)
class RunEnd:
    """The end of a scheduler's run.

    Attributes:
        reason: "complete", "timeout", "requested" (by `hpo stop`), "interrupted" or "terminated".
        n_finished: number of finished trials of the study.
        despite: reason to stop of a study that became complete while it stopped; "" for none.
    """

    reason: str
    n_finished: int
    despite: str = ""

    @property
    def stop(self) -> str:
        """Return who wants the machine back: "requested", "interrupted", "terminated", or ""."""
        reason = self.despite or self.reason
        return reason if reason in STOPS else ""


ANEW = "its configuration starts again as a new attempt"


@dataclass
class Assignment:
    """A running trial: its task, and its results so far.

    Attributes:
        trial: Optuna's trial.
        config: the config to train.
        attempt: the attempt of this trial.
        objective: metric that the study maximizes.
        results: the epochs so far.
        times_ms: first end of each epoch, in milliseconds since 1970; longer than `results` while a
            resumed trial repeats its stored epochs.
        reported: numbers of the epochs that the storage has.
        stored: columns of the stored epochs, see `hpo.study.records.epochs_to_columns`; {} if the
            trial was never parked.
        outdated: reason why a parked trial cannot go on here; "" if it can.
        notice: a line for people when the trial starts; "" for none.
        same_as: a finished trial with the same config, if its result is copied instead of training.
        snapshot: file for the state of the training if it is parked; None: write none.
        violation: the constraints that the config breaks, so that it is not trained; "" if none.
        broken: the limits of metrics that its result breaks, so that it cannot win; "" if none.
        overdue: True if the trial was killed for its time limit.
        started: `time.monotonic()` at the start.
        cpu_started: `time.process_time()` at the start.
        flushed: `time.monotonic()` when the columns were last stored.
        storing_since: `time.monotonic()` when the slot began to store an epoch; None while it waits
            for the next one.
        stored_seconds: time that epochs took to be stored, with outages of the storage.
    """

    trial: Trial
    config: Hyperparameters
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
    broken: str = ""
    overdue: bool = False
    started: float = field(default_factory=time.monotonic)
    cpu_started: float = field(default_factory=time.process_time)
    flushed: float = field(default_factory=time.monotonic)
    storing_since: float | None = None
    stored_seconds: float = 0.0

    @property
    def number(self) -> int:
        """Return the number of the trial."""
        return self.trial.number

    @property
    def best(self) -> EpochResult | None:
        """Return the epoch with the best objective, of equals the first; None before any epoch."""
        return max(self.results, key=self.value_of, default=None)

    @property
    def values(self) -> list[float]:
        """Return the objective of each epoch."""
        return [self.value_of(result) for result in self.results.copy()]

    def value_of(self, result: EpochResult) -> float:
        """Return the objective of one epoch."""
        return result.metrics.value(self.objective)

    @property
    def seconds(self) -> float:
        """Return the wall time of all epochs."""
        return sum(result.seconds for result in self.results)

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Leave the time of the block out of the trial's training."""
        began = self.storing_since = time.monotonic()
        try:
            yield
        finally:
            self.stored_seconds += time.monotonic() - began
            self.storing_since = None  # after the sum, which other threads read then

    def trained(self, began: float) -> float:
        """Return the wall time of a training in seconds, without that to store its epochs.

        0 while an epoch is stored: the trial is judged when that is over.

        Args:
            began: `time.monotonic()` when the training began.
        """
        if self.storing_since is not None:
            return 0.0
        return time.monotonic() - began - self.stored_seconds

    def difference(self, result: EpochResult) -> str:
        """Return the difference between the next epoch and its stored values; "" if none."""
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
        """Return the outcome of the trial as of now.

        Args:
            cause: cause of a failure; None: "infeasible" if the trial has a violation, else none.
            message: one sentence on the cause.
            trace: traceback of an error.
        """
        if self.violation and not cause:
            cause, message = "infeasible", self.violation
        best_epoch = self.best.epoch if self.best else 0
        used = resource_usage(self.results, self.started, self.cpu_started)
        return Outcome(best_epoch, self.seconds, cause, message, trace, usage=used)


def place_difference(parked: Attempt, now: Attempt) -> str:
    """Return why a parked attempt cannot go on in this place; "" if it can or this is unknown.

    Args:
        parked: the attempt as it was parked.
        now: the attempt as it would go on.
    """
    if not parked.processor or parked.place == now.place:
        return ""
    return f"it was parked on {parked.place}, and {now.place} gives other numbers; {ANEW}"
