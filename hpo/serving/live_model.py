"""The model that answers now, and the thread that watches for a newer one."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hpo.registry import ModelRefused, ModelStore, Reference
from hpo.serving.batching import Served
from recsys.errors import CheckpointError, RecsysError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

LOG = logging.getLogger("hpo.serve")
POLL_SECONDS = 5.0
MOST_LEFT_OUT = 11  # polls without a try after several failures: one try a minute is left
NO_MEMORY = ("allocate memory", "out of memory")  # in PyTorch's errors


@dataclass
class _Failure:
    """Failed tries to open a version.

    Attributes:
        run_id: run id of the version.
        reason: the last error.
        tries: number of tries so far.
        left_out: polls that pass before the next try; None: there is none.
    """

    run_id: str
    reason: str
    tries: int
    left_out: int | None

    @classmethod
    def after(cls, before: Self | None, run_id: str, error: Exception) -> Self:
        """Return the failure with one more try.

        A refusal of the files themselves is final, since a run's files never change. All other
        errors may pass. They are tried again at the next poll, then ever more rarely, because
        each try may download a gigabyte.

        Args:
            before: the earlier tries.
            run_id: run id of the version.
            error: error of the last try.
        """
        tries = before.tries + 1 if before else 1
        is_expected = isinstance(error, RecsysError)
        reason = str(error) if is_expected else f"{type(error).__name__}: {error}"
        is_final = isinstance(error, ModelRefused | CheckpointError) and not any(
            words in reason for words in NO_MEMORY
        )
        left_out = None if is_final else min(2 ** (tries - 1) - 1, MOST_LEFT_OUT)
        return cls(run_id, reason, tries, left_out)

    def pass_poll(self) -> bool:
        """Count one poll, and return True if it is time for another try."""
        if self.left_out is None:
            return False
        self.left_out -= 1
        return self.left_out < 0

    def __str__(self) -> str:
        then = "move the alias, or start again, to try once more"
        return f"{self.reason} ({then if self.left_out is None else 'it will be tried again'})"


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
        self._failure: _Failure | None = None
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
            problem = self._follow(self._store.resolve(self.reference))
        except RecsysError as error:  # the next poll asks again
            problem = str(error)
        except Exception as error:  # the thread must survive, since nothing restarts it
            LOG.exception("looking for a new version failed")
            problem = f"{type(error).__name__}: {error}"
        self._report(problem)

    def _watch(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            self.poll()

    def _follow(self, version: ModelVersion) -> str | None:
        """Let the version of the reference answer; return the reason if it cannot."""
        number, run_id = str(version.version), str(version.run_id)
        if self._failure and self._failure.run_id != run_id:
            self._failure = None  # the alias has moved; if it comes back, all is tried anew
        if run_id == self._served.run_id:
            return None
        if self._failure is None or self._failure.pass_poll():
            try:
                old, self._served = self._served.version, self._open(version)
            except Exception as error:
                if not isinstance(error, RecsysError):
                    LOG.exception("opening version %s failed", number)
                self._failure = _Failure.after(self._failure, run_id, error)
            else:
                self._failure = None
                LOG.info("serving version %s instead of %s", number, old)
                return None
        served = self._served.version
        return f"version {number} cannot be served, version {served} still is: {self._failure}"

    def _open(self, version: ModelVersion) -> Served:
        stored = self._store.load(version)
        recommender = stored.recommender(as_measured=self._as_measured, exact=self._exact)
        return Served(str(version.version), str(version.run_id), recommender)

    def _report(self, problem: str | None) -> None:
        if problem != self.problem:
            LOG.warning("%s", problem or "the problem is over")
        self.problem = problem
