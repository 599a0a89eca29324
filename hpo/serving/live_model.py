"""The model that answers now, and the thread that watches for a newer one."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from hpo.registry import ModelStore, Reference
from hpo.serving.batching import Served
from recsys.errors import RecsysError, TrackingError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

LOG = logging.getLogger("hpo.serve")
POLL_SECONDS = 5.0


class LiveModel:
    """The model behind a reference, replaced when the reference moves.

    A newer version is fetched, verified and encoded beside the one that answers. Then one
    assignment swaps the two, so a request sees either the old or the new one. After any error, the
    old one stays.

    Args:
        store: source of the versions.
        reference: reference to a model; an alias is followed, a version number never moves.
        as_measured: answer from the history behind the test figures.
        exact: score all items, whatever index a model has.

    Raises:
        ModelRefused: there is no such model, or its files are not the registered ones.
        CheckpointError: the model's files cannot be read.
        TrackingError: MLflow does not answer.
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
        """Return the model that answers; any thread may call this."""
        return self._served

    def watch(self, seconds: float = POLL_SECONDS) -> None:
        """Start a thread that looks for a new version every `seconds` seconds until `stop`."""
        if self.reference.alias:
            # A daemon: a request to a dead MLflow may take 20 seconds, and Ctrl-C should not wait.
            threading.Thread(
                target=self._watch, args=[seconds], name="watch-alias", daemon=True
            ).start()

    def stop(self) -> None:
        """Stop watching; the current model continues to answer."""
        self._stopping.set()

    def poll(self) -> None:
        """Look once for a new version: swap the models, or set `problem` to the reason why not."""
        try:
            version = self._store.resolve(self.reference)
            if version.run_id != self._served.run_id:
                self._swap(version)
            self._report(None)
        except TrackingError as error:
            self._report(str(error))  # temporary: the next poll tries again
        except RecsysError as error:
            self._report(str(error))
        except Exception as error:  # the thread must survive, since nothing restarts it
            LOG.exception("looking for a new version failed")
            self._report(f"{type(error).__name__}: {error}")

    def _watch(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            self.poll()

    def _swap(self, version: ModelVersion) -> None:
        """Open a new version and let it answer.

        Raises:
            RecsysError: the version cannot be served; a refused version is not fetched again.
            TrackingError: MLflow does not answer.
        """
        number, run_id = str(version.version), str(version.run_id)
        if run_id in self._refused:  # broken files stay broken: do not fetch them again
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
        recommender = stored.recommender(as_measured=self._as_measured, exact=self._exact)
        return Served(str(version.version), str(version.run_id), recommender)

    def _report(self, problem: str | None) -> None:
        if problem != self.problem:
            LOG.warning("%s", problem or "the problem is over")
        self.problem = problem
