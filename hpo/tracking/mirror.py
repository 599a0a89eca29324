"""The mirror, which makes MLflow equal to the Optuna storage.

The storage is the only record. MLflow may be slow, down or wiped: that costs no trial, and the next
sync repairs it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from hpo.config import Locations, command
from hpo.errors import StudyError
from hpo.study import (
    ArtifactContents,
    LockHeld,
    Moved,
    StudyRecord,
    exclusive_within,
    existing_storage,
    load_named,
    stored_artifacts,
)
from hpo.tracking.artifact_uploads import Uploads
from hpo.tracking.dashboard_notes import link_line, write_link_lines
from hpo.tracking.diff import differences
from hpo.tracking.run_content import Content
from hpo.tracking.runs import CountingClient, Runs
from hpo.tracking.study_projection import project_study, study_line
from hpo.tracking.trial_projection import StudyView, best_name, project_trial, projection_error
from hpo.tracking.urls import mlflow_base, run_address, study_address
from recsys.artifacts import experiment_id, open_client, tracking_errors
from recsys.errors import TrackingError
from recsys.passwords import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna import Study

LOCK_SECONDS = 120.0  # the first sync of 1,000 trials takes 78


@dataclass(frozen=True)
class SyncReport:
    """The result of one sync.

    Attributes:
        n_trials: number of trials that have a run.
        created: number of runs created.
        updated: number of runs updated, without the created ones.
        uploaded: number of artifacts uploaded.
        absent: paths of artifacts that a run lacks and that this machine does not have with the
            recorded content.
        refused: a line on each trial that cannot be shown in MLflow; the others are there.
        calls: number of requests to MLflow.
        seconds: wall time.
        address: address of the study's trials in the MLflow UI; None before the first trial starts.
        run_id: id of the study's run; None before the first trial starts.
        status: status of the study's run, e.g. FINISHED; None before the first trial starts.
    """

    n_trials: int
    created: int
    updated: int
    uploaded: int
    absent: tuple[str, ...]
    refused: tuple[str, ...]
    calls: int
    seconds: float
    address: str | None
    run_id: str | None
    status: str | None


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause Python's garbage collection while many rows become objects.

    None of the objects is garbage yet, but their number makes Python search the whole heap again
    and again, which takes half the time of reading 1,000 runs.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def was_deleted(name: str, storage: str) -> str:
    """Return the sentence on a study that was deleted while it is mirrored.

    Args:
        name: name of the study.
        storage: URL of its storage.
    """
    return f"study {name!r} was deleted from {without_password(storage)}"


class Mirror:
    """The mirror of one study in MLflow, for use by one thread.

    Args:
        locations: locations of the storage and of MLflow.
        study_name: name of an existing study; None: the only one.
        connect: opens the MLflow client.

    Raises:
        StudyError: there is no such study.
    """

    def __init__(
        self,
        locations: Locations,
        study_name: str | None,
        connect: Callable[[str], MlflowClient] = open_client,
    ) -> None:
        self._places, self._connect = locations, connect
        self._storage = existing_storage(locations.storage)
        self._study = load_named(self._storage, study_name)
        self._name = self._study.study_name  # to name the study even after its deletion
        self._uid: str | None = None
        self._view = self._look()
        self._runs: Runs | None = None
        self._refused: list[str] = []  # of the last sync, see `SyncReport`

    def _look(self) -> StudyView:
        """Reread the study; another launcher may have changed its settings.

        Raises:
            StudyError: the study was deleted, also if another one has got its id, or was moved.
        """
        study = self._study
        gone = was_deleted(self._name, self._places.storage)
        try:
            record = StudyRecord.of(study)
        except KeyError as error:  # Optuna reads the attributes of a deleted study as none
            raise StudyError(gone) from error
        if self._uid not in (None, record.uid):
            raise StudyError(
                f"{gone}, and another one was made there; call this again to sync that one"
            )
        if mark := Moved.of(study):  # two mirrors of one uid would overwrite each other
            raise StudyError(
                f"study {self._name!r} was moved and goes on in {mark.to}: give that with --storage"
            )
        self._uid = record.uid
        return StudyView(self._name, study._study_id, record, self._places.dashboard_url)

    @property
    def study(self) -> Study:
        """Return the study."""
        return self._study

    @property
    def study_name(self) -> str:
        """Return the name of the study."""
        return self._name

    def close(self) -> None:
        """Close the connections to the storage."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def sync(self, *, fresh: bool = True) -> SyncReport:
        """Write everything that MLflow lacks. A repeated sync writes nothing.

        Args:
            fresh: True: ask MLflow what it holds; False: trust the memory of the last sync.

        Raises:
            TrackingError: MLflow is out of reach, or another sync does not end. All that was
                written so far stays, and the next sync continues from there.
        """
        started = time.monotonic()
        with self._lock():
            with uncollected():
                trials = self._study.get_trials(deepcopy=False)
            self._view = self._look()  # after the trials: it says which of them cannot win
            runs, self._runs = self._runs, None  # forgotten, unless this sync succeeds
            if runs is None or fresh:
                self._look_at_artifacts()
            whole = project_study(self._view, trials)
            with_files: list[Content] = []
            with tracking_errors(self._places.tracking_uri):
                if runs is None or fresh:
                    runs = self._open()
                else:
                    runs.reset_counts()
                if whole:
                    with_files = self._write(runs, whole, trials)
                if fresh and runs.created:
                    runs.read()  # a request repeated on the network may create two
                runs.delete_others()
            self._link(runs, trials, study_line(self._view.record, trials))
            contents = ArtifactContents(self._places, self._view.record.uid)
            uploads = Uploads(self._client, contents, look=fresh)
            with tracking_errors(self._places.tracking_uri):
                uploads.bring_up(runs.held, with_files)
            self._runs = runs
        return SyncReport(
            n_trials=len(runs.held.keys() - {None}),
            created=runs.created,
            updated=runs.updated,
            uploaded=uploads.sent,
            absent=tuple(uploads.absent),
            refused=tuple(self._refused),
            calls=runs.calls,
            seconds=time.monotonic() - started,
            address=self._addresses.get(None),
            run_id=runs.held[None].run_id if whole else None,
            status=whole.status if whole else None,
        )

    def check(self) -> list[str]:
        """Return a line for each difference between MLflow and the storage; nothing is written.

        Raises:
            NoStoreError: the MLflow database is missing.
            TrackingError: MLflow is out of reach, or another sync does not end.
        """
        with self._lock(), tracking_errors(self._places.tracking_uri):
            trials = self._study.get_trials(deepcopy=False)
            self._view = self._look()
            self._look_at_artifacts()
            return differences(self._connect, self._places, self._view, trials)

    def _look_at_artifacts(self) -> None:
        """Reread which artifacts the study has.

        Artifacts change only when a report is written, which triggers a fresh sync; other syncs
        skip this.
        """
        self._view = replace(self._view, kept=stored_artifacts(self._study, self._view.record.uid))

    def _open(self) -> Runs:
        self._client = CountingClient(self._connect(self._places.tracking_uri))
        self._experiment_id = experiment_id(self._client, self._places.experiment)
        self._settled: set[tuple[int, str]] = set()  # finished trial, id of its parent run
        self._linked: dict[int | None, str] = {}  # first lines already in the notes
        self._addresses: dict[int | None, str] = {}
        runs = Runs(self._client, self._experiment_id, self._view.record.uid)
        with uncollected():
            runs.read()
        return runs

    def _write(self, runs: Runs, whole: Content, trials: Sequence[FrozenTrial]) -> list[Content]:
        """Write all runs without their artifacts, and return the contents that have some."""
        with_files = []
        self._refused = []
        parent = runs.ensure(whole).run_id
        for trial in trials:
            if (trial.number, parent) in self._settled:
                continue
            try:
                content = project_trial(self._view, trial, parent)
            except Exception as error:  # one trial must not keep the others out
                self._refused.append(projection_error(trial, error))
                continue
            if content:
                runs.bring_up(content)
                with_files += [content] if content.files else []
            if trial.state.is_finished():
                self._settled.add((trial.number, parent))
        runs.bring_up(whole)  # last, so that FINISHED means that all trials are there
        return [*with_files, whole] if whole.files else with_files

    def _link(self, runs: Runs, trials: Sequence[FrozenTrial], news: str) -> None:
        """Write addresses of runs, and the study's progress, into the notes of optuna-dashboard."""
        ids: dict[int | None, int | None] = {trial.number: trial._trial_id for trial in trials}
        ids[None] = None
        base = mlflow_base(self._places)
        self._addresses = {
            number: run_address(base, self._experiment_id, held.run_id)
            for number, held in runs.held.items()
            if number in ids
        }
        if None in self._addresses:
            record = self._view.record
            self._addresses[None] = study_address(
                base, self._experiment_id, record.uid, best_name(record.config.objective)
            )
        lines = {
            ids[number]: link_line(address, news if number is None else "")
            for number, address in self._addresses.items()
        }
        new = {key: line for key, line in lines.items() if self._linked.get(key) != line}
        if new:
            write_link_lines(self._study, new)
        self._linked = lines

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the study's sync lock, waiting up to LOCK_SECONDS for other syncs.

        Raises:
            TrackingError: another sync does not end in that time.
        """
        name, storage = self.study_name, self._places.storage
        with ExitStack() as stack:
            try:
                stack.enter_context(exclusive_within(storage, name, LOCK_SECONDS, role="sync"))
            except LockHeld as error:
                sync = command("sync", name, self._places)
                raise TrackingError(
                    f"study {name!r}: another sync has not ended in {LOCK_SECONDS:g} s: {error}; "
                    f"wait for it, or end it, then run: {sync}"
                ) from error
            yield
