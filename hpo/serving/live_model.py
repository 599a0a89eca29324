"""The model that answers now, and the thread that watches for a newer one."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from hpo.registry import ModelStore, Reference, open_recommender
from hpo.serving.batching import Served
from recsys.errors import RecsysError, TrackingError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

LOG = logging.getLogger("hpo.serve")
POLL_SECONDS = 5.0


class LiveModel:
    """Serves what a reference means, and follows it.

    A newer version is fetched, verified and encoded beside the one that answers; then one
    assignment swaps them, so a request sees either. Whatever goes wrong, the old one stays.

    Args:
        store: where versions come from.
        reference: an alias is followed, a number never moves.
        as_measured: answer from the measured history.
        exact: look at all items, whatever index a model has.

    Raises:
        ModelRefused, CheckpointError, TrackingError: there is no first model to serve.
    """

    def __init__(
        self, store: ModelStore, reference: Reference, *, as_measured: bool, exact: bool = False
    ) -> None:
        self.reference = reference
        self.problem: str | None = None
        self._store, self._as_measured, self._exact = store, as_measured, exact
        self._refused: dict[str, str] = {}
        self._served = self._open(store.resolve(reference))
        self._stopping = threading.Event()

    def current(self) -> Served:
        """What answers; from any thread."""
        return self._served

    def watch(self, seconds: float = POLL_SECONDS) -> None:
        """Look for a new version from now on, in a thread of its own, until `stop`."""
        if self.reference.alias:
            # A daemon: MLflow may take 20 seconds to say that it is gone, Ctrl-C should not.
            threading.Thread(
                target=self._watch, args=[seconds], name="watch-alias", daemon=True
            ).start()

    def stop(self) -> None:
        """Stop watching; what answers, goes on answering."""
        self._stopping.set()

    def poll(self) -> None:
        """Look once: swap if there is a new version, say in `problem` why not."""
        try:
            version = self._store.resolve(self.reference)
            if version.run_id != self._served.run_id:
                self._swap(version)
            self._report(None)
        except TrackingError as error:
            self._report(str(error))  # goes by: tried again at the next poll
        except RecsysError as error:
            self._report(str(error))
        except Exception as error:  # the thread must live: nobody would start it again
            LOG.exception("looking for a new version failed")
            self._report(f"{type(error).__name__}: {error}")

    def _watch(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            self.poll()

    def _swap(self, version: ModelVersion) -> None:
        number, run_id = str(version.version), str(version.run_id)
        if run_id in self._refused:  # files do not mend themselves; do not fetch them every poll
            raise RecsysError(self._refused[run_id])
        try:
            served = self._open(version)
        except TrackingError:
            raise
        except Exception as error:
            self._refused[run_id] = (
                f"version {number} cannot be served, version {self._served.version} still is: "
                f"{error} (move the alias, or start again to try once more)"
            )
            raise RecsysError(self._refused[run_id]) from error
        old, self._served = self._served.version, served
        LOG.info("serving version %s instead of %s", number, old)

    def _open(self, version: ModelVersion) -> Served:
        stored = self._store.load(version)
        recommender = open_recommender(stored, as_measured=self._as_measured, exact=self._exact)
        return Served(str(version.version), str(version.run_id), recommender)

    def _report(self, problem: str | None) -> None:
        if problem != self.problem:
            LOG.warning("%s", problem or "the problem is over")
        self.problem = problem
