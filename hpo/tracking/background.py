"""A thread that mirrors a running study into MLflow and never disturbs the study."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hpo.config import Locations, command
from hpo.errors import HpoError, SettingsError, StudyStopped
from hpo.study import (
    REPORT,
    StudyRecord,
    existing_storage,
    is_lost,
    load_named,
    storage_failure,
)
from hpo.tracking.mirror import Mirror, SyncReport, was_deleted
from hpo.tracking.study_page import experiment_of
from recsys.artifacts import open_client
from recsys.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_WAIT_SECONDS = 60.0


class MirrorThread:
    """A thread that syncs a study every few seconds and never disturbs the launcher.

    Args:
        locations: locations of the storage and of MLflow.
        study_name: name of an existing study.
        seconds: time from the end of one sync to the start of the next; doubled after each failure,
            up to MAX_WAIT_SECONDS.
        connect: opens the MLflow client.

    Attributes:
        result: report of the last sync, or its error.
    """

    def __init__(
        self,
        locations: Locations,
        study_name: str,
        *,
        seconds: float = 3.0,
        connect: Callable[[str], MlflowClient] = open_client,
    ) -> None:
        self._places, self._study_name, self._connect = locations, study_name, connect
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpo-mirror", daemon=True)
        self.result: SyncReport | TrackingError = TrackingError("MLflow was not asked yet")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float = math.inf) -> SyncReport | TrackingError:
        """End with one last, fresh sync, and wait for it, but no longer than `seconds`.

        A server that is gone or hangs costs one time-out, because no last sync follows a failure.

        Returns:
            The report of the last sync, or its error.
        """
        self._stopping.set()
        deadline = time.monotonic() + seconds
        while self._thread.is_alive():  # in steps, since Windows notices Ctrl-C only between them
            if time.monotonic() > deadline:
                return TrackingError("the last sync did not end in time")
            self._thread.join(0.2)
        return self.result

    def _run(self) -> None:
        mirror = self._opened()
        if mirror is None:
            return
        wait = self._seconds
        while not self._stopping.wait(wait):
            if self._sync(mirror, fresh=False):
                wait = self._seconds
            elif self._stopping.is_set():
                break
            else:
                wait = min(2 * wait, MAX_WAIT_SECONDS)
        else:
            self._sync(mirror, fresh=True)
        mirror.close()

    def _opened(self) -> Mirror | None:
        """Return the mirror, also after an outage of the storage; None if it cannot be opened.

        A storage that does not answer when the thread is stopped is asked once more.
        """
        wait = self._seconds
        while True:
            is_last = self._stopping.is_set()
            try:
                return Mirror(self._places, self._study_name, self._connect)
            except Exception as error:
                self._keep(error)
                if is_last or not isinstance(error, SettingsError | StudyStopped):
                    return None
            self._stopping.wait(wait)
            wait = min(2 * wait, MAX_WAIT_SECONDS)

    def _sync(self, mirror: Mirror, *, fresh: bool) -> bool:
        try:
            self.result = mirror.sync(fresh=fresh)
        except Exception as error:
            self._keep(error)
            return False
        return True

    def _keep(self, error: Exception) -> None:
        """Record an error as the result; an unexpected one is logged with its traceback."""
        if isinstance(error, TrackingError):
            self.result = error
        elif isinstance(error, HpoError):
            self.result = TrackingError(str(error))
        elif is_lost(error):
            self.result = TrackingError(was_deleted(self._study_name, self._places.storage))
        elif sentence := storage_failure(error):
            self.result = TrackingError(sentence)
        else:
            logging.getLogger(__name__).warning("the MLflow mirror failed", exc_info=error)
            self.result = TrackingError(f"{type(error).__name__}: {error}")


PATIENCE_SECONDS = 60.0


class SyncOutcome(NamedTuple):
    """The outcome of bringing a study into MLflow.

    Attributes:
        line: the place of the report in MLflow, or the reason why it is not there; then a line on
            each trial that cannot be shown there.
        is_complete: False if the sync failed or did not end in time, or if a trial is lacking.
    """

    line: str
    is_complete: bool

    @property
    def exit_code(self) -> int:
        """Return 0, or 3 if MLflow is incomplete."""
        return 0 if self.is_complete else TrackingError.exit_code


def bring_into_mlflow(locations: Locations, study_name: str) -> SyncOutcome:
    """Sync a study that has a run in MLflow, and say where its report is there.

    A study that was run without MLflow is not added to it. A sync that takes longer than
    PATIENCE_SECONDS continues beside the caller; if the process ends before the sync does,
    `hpo.sync` completes it.

    Args:
        locations: locations of the storage and of MLflow.
        study_name: name of the study.

    Raises:
        StudyError: there is no such study.
    """
    sync = command("sync", study_name, locations)
    try:
        if not _has_run(locations, study_name):
            line = f"not in MLflow: the study has no run there; make one with: {sync}"
            return SyncOutcome(line, is_complete=True)
    except TrackingError as error:
        return SyncOutcome(f"not in MLflow: {error}", is_complete=False)
    mirror = MirrorThread(locations, study_name)
    mirror.start()
    result = mirror.stop(PATIENCE_SECONDS)
    if isinstance(result, TrackingError):
        line = f"not in MLflow: {result}; bring it there with: {sync}"
        return SyncOutcome(line, is_complete=False)
    line = f"in MLflow: folder {REPORT} of run {result.run_id}"
    if result.absent:  # nobody here has them, and `hpo.sync` says 0, too
        report = command("report", study_name, locations)
        missing = ", ".join(result.absent)
        line = f"not in MLflow: missing files: {missing}; make them again with: {report}"
    return SyncOutcome("\n".join([line, *result.refused]), is_complete=not result.refused)


def _has_run(locations: Locations, study_name: str) -> bool:
    """Return True if the study has a run in MLflow."""
    study = load_named(existing_storage(locations.storage), study_name)
    return experiment_of(locations, StudyRecord.of(study).uid) is not None
