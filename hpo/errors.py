"""Errors that hpo raises on purpose, in addition to those of recsys.

HpoError
├── SettingsError    a study file or an option is invalid (exit code 2)
├── StudyError       a study cannot be opened or continued as asked (exit code 2)
├── NoStoreError     there is no MLflow store where one is needed (exit code 2)
├── ArtifactStoreError   the store of --artifacts does not answer (exit code 3)
├── StudyStopped     a study ended early: trials keep failing, or its lock is lost (exit code 1)
│   └── StorageUnreachable   the study's storage does not answer now
├── WorkerDied       a worker process ended or stalled in the middle of a training
│   └── NodeLost      its whole machine is gone
├── Parked           a training was stopped on request and can resume
├── OtherTraining    a parked training cannot resume as the same training
├── TrainingFailed   a training raised an unexpected error
└── PromotionError   a model cannot be registered (exit code 1)

`recsys.errors.TrackingError` (MLflow is out of reach) is re-exported here.
"""

from __future__ import annotations

from recsys.errors import (
    Problems,
    RecsysError,
    TrackingError as TrackingError,  # noqa: PLC0414  (re-exported)
)


class HpoError(RecsysError):
    """The base class of all errors that hpo raises deliberately."""


class SettingsError(Problems, HpoError):
    """An invalid study file, option or combination of options, with all problems at once."""


class StudyError(Problems, HpoError):
    """A study that cannot be used as asked.

    For instance, the study does not exist, belongs to other data, or has another owner.
    """


class NoStoreError(HpoError):
    """A missing MLflow database, where a command wants to read one."""

    exit_code = 2


class ArtifactStoreError(HpoError):
    """A failure of the store of --artifacts to answer, or to hold the expected content."""

    exit_code = 3


class StudyStopped(HpoError):
    """An early end of a study, because more trials would not help or must not be started.

    More trials do not help when trials keep failing. They must not be started when the storage or
    the lock of the study is lost.

    Args:
        summary: the reason in a sentence.
        trial_error: the words of a trial's error.

    Attributes:
        summary: the sentence alone. Messages to others have no more, since the words of a trial's
            error may hold anything, such as the password in an address.
    """

    def __init__(self, summary: str, trial_error: str = "") -> None:
        super().__init__(f"{summary}: {trial_error}" if trial_error else summary)
        self.summary = summary


class StorageUnreachable(StudyStopped):
    """A storage that does not answer, maybe only for a while.

    Args:
        reason: the database driver's sentence.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the study's storage failed: {reason}; fix that, then run the same command again"
        )
        self.reason = reason


class WorkerDied(HpoError):
    """An end or stall of the process that trained a trial.

    The config is not at fault, so it is tried again.
    """


class NodeLost(WorkerDied):
    """A loss of the machine that trained a trial, which is no fault of the trial."""


class Parked(HpoError):
    """A stop of a training on request; the training can resume at the same point."""


class OtherTraining(HpoError):
    """A parked training that cannot resume as the same training.

    Numbers of two different trainings must not be mixed in one trial.
    """


class TrainingFailed(HpoError):
    """An unexpected error of a training, whose worker lives.

    Args:
        message: the error in one sentence.
        traceback: traceback of the worker, as text.

    Attributes:
        traceback: traceback of the worker, as text.
    """

    def __init__(self, message: str, traceback: str) -> None:
        self.traceback = traceback
        super().__init__(message)


class PromotionError(HpoError):
    """A promotion without anything to promote, or one that the registry refuses."""
