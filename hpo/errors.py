"""Errors of hpo, beside those that recsys raises.

HpoError
├── SettingsError    a study file or an option is wrong (exit code 2)
├── StudyError       the study cannot be opened or continued as asked (exit code 2)
├── NoStoreError     there is no MLflow store where one is needed (exit code 2)
├── StudyStopped     the study ended early: trials keep failing, or its lock is lost (exit code 1)
├── WorkerDied       a worker process ended or stalled in the middle of a training
├── Parked           a training was interrupted on request and can be resumed
├── OtherTraining    a parked training would go on with other numbers
├── TrainingFailed   the training raised an unexpected error
└── PromotionError   the winner cannot be registered (exit code 1)

An unreachable MLflow is `recsys.errors.TrackingError`, re-exported here.
"""

from __future__ import annotations

from recsys.errors import Problems, RecsysError
from recsys.errors import TrackingError as TrackingError  # noqa: PLC0414  (re-exported)


class HpoError(RecsysError):
    """The base class of all errors that hpo raises deliberately."""


class SettingsError(Problems, HpoError):
    """A mistake in a study file, an option or their combination; the message lists all mistakes."""


class StudyError(Problems, HpoError):
    """A study that does not exist, belongs to other data, or is run by another process."""


class NoStoreError(HpoError):
    """A missing MLflow database in a command that only reads one."""

    exit_code = 2


class StudyStopped(HpoError):
    """The early end of a study: trials keep failing, or the storage or the study's lock is gone."""


class WorkerDied(HpoError):
    """The loss of a worker process in a trial, which is tried again: the config is not to blame."""


class Parked(HpoError):
    """The interruption of a training that can be resumed where it was."""


class OtherTraining(HpoError):
    """A parked training that would go on with other numbers; the two must not be mixed."""


class TrainingFailed(HpoError):
    """An error raised by the training in a worker that is still alive.

    Args:
        message: the error in one sentence.
        traceback: the worker's traceback as text.

    Attributes:
        traceback: the worker's traceback as text.
    """

    def __init__(self, message: str, traceback: str) -> None:
        self.traceback = traceback
        super().__init__(message)


class PromotionError(HpoError):
    """A promotion with nothing to promote, or one that the registry refuses."""
