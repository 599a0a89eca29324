"""MirrorThread: keeps MLflow up beside a study that runs, and never disturbs it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hpo.errors import HpoError
from hpo.places import Places
from hpo.storage import is_lost, storage_failure
from hpo.tracking.mirror import Mirror, SyncReport
from recsys.errors import TrackingError
from recsys.mlflow_client import open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_WAIT_SECONDS = 60.0


class MirrorThread:
    """Syncs a study every few seconds beside the launcher, which it never disturbs.

    Args:
        study_name: of a study that exists.
        seconds: from the end of one sync to the next; doubled while MLflow is out of reach.
    """

    def __init__(
        self,
        places: Places,
        study_name: str,
        *,
        seconds: float = 3.0,
        connect: Callable[[str], MlflowClient] = open_client,
    ) -> None:
        self._places, self._study_name, self._connect = places, study_name, connect
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpo-mirror", daemon=True)
        self.result: SyncReport | TrackingError = TrackingError("MLflow was not asked yet")

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = math.inf) -> SyncReport | TrackingError:
        """End with one last, fresh sync, and wait for it, but no longer than `seconds`.

        A server that is gone or hangs costs one time-out: no last sync follows a failure.
        """
        self._stopping.set()
        deadline = time.monotonic() + seconds
        while self._thread.is_alive():  # in steps: Windows hears Ctrl-C between them
            if time.monotonic() > deadline:
                return TrackingError("the last sync was not waited for")
            self._thread.join(0.2)
        return self.result

    def _run(self) -> None:
        try:
            mirror = Mirror(self._places, self._study_name, self._connect)
        except Exception as error:
            self._keep(error)
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

    def _sync(self, mirror: Mirror, *, fresh: bool) -> bool:
        try:
            self.result = mirror.sync(fresh=fresh)
        except Exception as error:
            self._keep(error)
            return False
        return True

    def _keep(self, error: Exception) -> None:
        """Remember what went wrong; what nobody expects is logged with its traceback."""
        if isinstance(error, TrackingError):
            self.result = error
        elif isinstance(error, HpoError):
            self.result = TrackingError(str(error))
        elif is_lost(error):
            self.result = TrackingError("the study was deleted from its storage")
        elif sentence := storage_failure(error):
            self.result = TrackingError(sentence)
        else:
            logging.getLogger(__name__).warning("the MLflow mirror failed", exc_info=error)
            self.result = TrackingError(f"{type(error).__name__}: {error}")
