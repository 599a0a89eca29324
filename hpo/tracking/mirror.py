"""Mirror: makes MLflow equal to what the Optuna storage says.

The storage is the one record. MLflow may be slow, down or wiped: that costs no trial, and the
next sync repairs it.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from hpo.config.locations import Locations
from hpo.study.artifacts import artifact_folder, kept_files
from hpo.study.lifecycle import load_study
from hpo.study.locks import LockHeld, exclusive
from hpo.study.records import StudyRecord
from hpo.study.storage import existing_storage
from hpo.tracking.artifact_uploads import Uploads
from hpo.tracking.dashboard_notes import first_line, write_first_lines
from hpo.tracking.diff import differences
from hpo.tracking.run_content import Content
from hpo.tracking.runs import Calls, Runs
from hpo.tracking.study_projection import project_study, study_line
from hpo.tracking.trial_projection import StudyView, best_name, project_trial
from hpo.tracking.urls import mlflow_base, run_address, study_address
from recsys.artifacts.mlflow_client import experiment_id, open_client, tracking_errors
from recsys.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_SECONDS = 120.0  # the first sync of 1,000 trials takes 78


@dataclass(frozen=True)
class SyncReport:
    """What one sync did.

    Attributes:
        n_trials: trials that have a run.
        created, updated: runs; a created one is not counted as updated.
        uploaded: artifacts.
        absent: those that a run lacks and that are not here as they were kept.
        calls: requests to MLflow.
        seconds: wall time.
        address: of the study's trials in the MLflow UI; None before the first trial starts.
        run_id: of the study's run; None before the first trial starts.
        status: of the study's run, e.g. FINISHED; None before the first trial starts.
    """

    n_trials: int
    created: int
    updated: int
    uploaded: int
    absent: tuple[str, ...]
    calls: int
    seconds: float
    address: str | None
    run_id: str | None
    status: str | None


@contextmanager
def uncollected() -> Iterator[None]:
    """Let Python look for garbage later, while many rows become objects.

    None of them is garbage yet, but their number makes Python search the whole heap again and
    again: half the time of reading 1,000 runs.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Mirror:
    """Keeps the MLflow runs of one study. Use it from one thread.

    Args:
        study_name: of a study that exists; None: the only one.
        connect: opens the MLflow client.
    """

    def __init__(
        self,
        locations: Locations,
        study_name: str | None,
        connect: Callable[[str], MlflowClient] = open_client,
    ) -> None:
        self._places, self._connect = locations, connect
        self._storage = existing_storage(locations.storage)
        self._study = load_study(self._storage, study_name)
        self._view = self._look()
        self._runs: Runs | None = None

    def _look(self) -> StudyView:
        """The study as it is now: a launcher may go on with it in another way."""
        study = self._study
        record = StudyRecord.of(study)
        return StudyView(study.study_name, study._study_id, record, self._places.dashboard_url)

    @property
    def study_name(self) -> str:
        return self._view.name

    def close(self) -> None:
        """Let go of the storage."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def sync(self, *, fresh: bool = True) -> SyncReport:
        """Write what MLflow lacks. Run again, it writes nothing.

        Args:
            fresh: ask MLflow what it holds; else trust the memory of the last sync.

        Raises:
            TrackingError: MLflow is out of reach, or another sync does not end. What was written
                so far stays, and the next sync goes on from there.
        """
        started = time.monotonic()
        with self._lock():
            self._view = self._look()
            with uncollected():
                trials = self._study.get_trials(deepcopy=False)
            runs, self._runs = self._runs, None  # after an error, memory is not to be trusted
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
                    runs.read()  # a request that was repeated on its way may have made two
            self._link(runs, trials, study_line(self._view.record, trials))
            uploads = Uploads(self._client, artifact_folder(self._places.storage), look=fresh)
            with tracking_errors(self._places.tracking_uri):
                uploads.bring_up(runs.held, with_files)
            self._runs = runs
        return SyncReport(
            n_trials=len(runs.held.keys() - {None}),
            created=runs.created,
            updated=runs.updated,
            uploaded=uploads.sent,
            absent=tuple(uploads.absent),
            calls=runs.calls,
            seconds=time.monotonic() - started,
            address=self._addresses.get(None),
            run_id=runs.held[None].run_id if whole else None,
            status=whole.status if whole else None,
        )

    def check(self) -> list[str]:
        """Every difference between MLflow and the storage, a line each; nothing is written.

        Raises:
            NoStoreError: the MLflow database is missing.
            TrackingError: as `sync`.
        """
        with self._lock(), tracking_errors(self._places.tracking_uri):
            self._view = self._look()
            self._look_at_artifacts()
            trials = self._study.get_trials(deepcopy=False)
            return differences(self._connect, self._places, self._view, trials)

    def _look_at_artifacts(self) -> None:
        """They change when a report is written, which ends with a fresh sync: only those look."""
        self._view = replace(self._view, kept=kept_files(self._study, self._view.record.uid))

    def _open(self) -> Runs:
        self._client = Calls(self._connect(self._places.tracking_uri))
        self._experiment_id = experiment_id(self._client, self._places.experiment)
        self._settled: set[tuple[int, str]] = set()  # ended trials, with their parent's run
        self._linked: dict[int | None, str] = {}  # first lines that stand in notes
        self._addresses: dict[int | None, str] = {}
        runs = Runs(self._client, self._experiment_id, self._view.record.uid)
        with uncollected():
            runs.read()
        return runs

    def _write(self, runs: Runs, whole: Content, trials: Sequence[FrozenTrial]) -> list[Content]:
        """Bring up all runs but for artifacts; returns the contents that have some."""
        with_files = []
        parent = runs.ensure(whole).run_id
        for trial in trials:
            if (trial.number, parent) in self._settled:
                continue
            if content := project_trial(self._view, trial, parent):
                runs.bring_up(content)
                with_files += [content] if content.files else []
            if trial.state.is_finished():
                self._settled.add((trial.number, parent))
        runs.bring_up(whole)  # last, so that FINISHED means that all trials are there
        return [*with_files, whole] if whole.files else with_files

    def _link(self, runs: Runs, trials: Sequence[FrozenTrial], news: str) -> None:
        """Put addresses, and the study's news, into the notes of optuna-dashboard."""
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
            ids[number]: first_line(address, news if number is None else "")
            for number, address in self._addresses.items()
        }
        new = {key: line for key, line in lines.items() if self._linked.get(key) != line}
        if new:
            write_first_lines(self._study, new)
        self._linked = lines

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Wait for other syncs of this study, but not for ever."""
        deadline = time.monotonic() + LOCK_SECONDS
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(
                        exclusive(self._places.storage, self.study_name, role="sync")
                    )
                    break
                except LockHeld as error:
                    if time.monotonic() > deadline:
                        raise TrackingError(f"another sync does not end: {error}") from error
                threading.Event().wait(0.05)
            yield
