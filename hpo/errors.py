"""What can go wrong in hpo, beside what recsys raises.

HpoError
├── SettingsError    a study file or an option is wrong (exit code 2)
├── StudyError       the study cannot be opened or continued as asked (exit code 2)
├── NoStoreError     there is no MLflow store where one is needed (exit code 2)
├── StudyStopped     the study ended early: trials keep failing, or its lock is lost (exit code 1)
├── WorkerDied       a worker process ended or stalled in the middle of a training
├── Parked           a training was put aside, as asked
├── OtherTraining    a parked training came out otherwise when it was told again
├── TrainingFailed   the training raised something that nobody expected
└── PromotionError   the winner cannot be registered (exit code 1)

MLflow out of reach is `recsys.errors.TrackingError`, re-exported here.
"""

from __future__ import annotations

from recsys.errors import (
    Problems,
    RecsysError,
    TrackingError as TrackingError,  # noqa: PLC0414  (re-exported)
)


class HpoError(RecsysError):
    """Base of all errors that hpo raises on purpose."""


class SettingsError(Problems, HpoError):
    """A study file, an option or their combination is wrong; all problems at once."""


class StudyError(Problems, HpoError):
    """The study does not exist, belongs to other data, or has another owner."""


class NoStoreError(HpoError):
    """There is no MLflow database yet where a command wants to read one."""

    exit_code = 2


class StudyStopped(HpoError):
    """More trials would not mend it, or are not ours to start: the storage or the lock is gone."""


class WorkerDied(HpoError):
    """The process that trained a trial is gone. Not the config's fault, so it is tried again."""


class Parked(HpoError):
    """The training was put aside and can go on where it was."""


class OtherTraining(HpoError):
    """A parked training goes on as another one than it was: its numbers must not be mixed."""


class TrainingFailed(HpoError):
    """The worker lives, but its training raised.

    Attributes:
        traceback: the worker's, as text.
    """

    def __init__(self, message: str, traceback: str) -> None:
        self.traceback = traceback
        super().__init__(message)


class PromotionError(HpoError):
    """There is nothing to promote, or the registry refuses it."""
