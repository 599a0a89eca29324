"""The run of an open study: its runners, scheduler, progress and MLflow mirror put together."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import torch
from optuna import Study
from optuna.trial import FrozenTrial

from hpo.config import Locations, StudyConfig, command
from hpo.errors import ArtifactStoreError
from hpo.execution import summary
from hpo.execution.engines.ray_engine import ray_runners
from hpo.execution.ledger import Ledger
from hpo.execution.listeners import CallingProgress, NotebookProgress, in_notebook
from hpo.execution.live_view import LiveProgress
from hpo.execution.progress import JsonProgress, LineProgress, Progress, say_finished
from hpo.execution.request import Output, Request
from hpo.execution.running_trial import RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.notices import DELIVERY_SECONDS, deliver, ended_notice
from hpo.runners import InlineRunner, ProcessRunner, Runner
from hpo.study import (
    StudyLock,
    StudyRecord,
    best_complete,
    comparable,
    record_snapshots,
    send_files,
    working_folder,
)
from hpo.tracking import experiments_address, mlflow_base, study_links
from recsys.cli import INTERRUPTED, sample_line
from recsys.config import TrainConfig
from recsys.data import Holdout, Split, save_holdout
from recsys.errors import TrackingError
from recsys.training import torch_threads, useful_threads

if TYPE_CHECKING:
    from hpo.tracking import SyncReport

# For the last sync, the wait for its end before files are sent, and then for messages; containers
# are killed after ten seconds.
TERMINATED_SECONDS = 3.0
REQUESTED_SECONDS = 60.0  # for the last sync after `hpo stop`: someone wants the machine back
SYNC_SECONDS = {"terminated": TERMINATED_SECONDS, "requested": REQUESTED_SECONDS}


@dataclass(frozen=True, eq=False)
class OpenStudy:
    """A study that this process owns.

    Attributes:
        study: Optuna's study.
        record: the study's record.
        config: config of this call; the study's own config is in its record.
        holdout: training and validation data of the trials.
        ledger: the study's ledger.
        hold: the study's lock.
    """

    study: Study
    record: StudyRecord
    config: StudyConfig
    holdout: Holdout
    ledger: Ledger
    hold: StudyLock

    def reread(self) -> Self:
        """Return it with today's record, which may have more trials that break constraints."""
        return replace(self, record=StudyRecord.of(self.study))


def run_trials(
    request: Request, opened: OpenStudy, output: Output
) -> tuple[RunEnd, SyncReport | TrackingError | None]:
    """Run trials while a thread mirrors them into MLflow.

    Args:
        request: the call of hpo.run.
        opened: the study.
        output: streams for messages and events.

    Returns:
        The end of the run, and the result of the last sync into MLflow; None without tracking.

    Raises:
        StudyStopped: as `Scheduler.run`.
    """
    mirror = None
    if request.tracking:
        from hpo.tracking import MirrorThread

        mirror = MirrorThread(request.locations, opened.study.study_name)
    config = opened.config
    with ExitStack() as stack:
        runners = stack.enter_context(make_runners(request, opened.holdout, opened.record))
        progress = _progress(request, opened, output, stack)
        if mirror:
            mirror.start()
        sync_seconds = math.inf
        try:
            scheduler = Scheduler(
                opened.ledger,
                runners,
                progress,
                config.n_trials,
                config.timeout,
                config.trial_seconds,
                opened.hold,
                takes_signals=request.takes_signals,
            )
            ended = scheduler.run()
            sync_seconds = SYNC_SECONDS.get(ended.stop, math.inf)
        finally:
            tracking = mirror.stop(sync_seconds) if mirror else None
    return ended, tracking


def _progress(request: Request, opened: OpenStudy, output: Output, stack: ExitStack) -> Progress:
    """Return the listener for this output and the callbacks, closed by `stack`."""
    shown = _shown_progress(request, opened, output, stack)
    return CallingProgress(shown, request.callbacks) if request.callbacks else shown


def _shown_progress(
    request: Request, opened: OpenStudy, output: Output, stack: ExitStack
) -> Progress:
    """Return the progress for this output: JSON, lines, or a live view, closed by `stack`."""
    if request.json:
        return JsonProgress(output.events)
    ledger, best, config = opened.ledger, opened.ledger.best(), opened.config
    value = best.value or 0.0 if best else 0.0
    lines = LineProgress(
        output.console, config.n_trials, ledger.n_finished(), value, config.objective
    )
    notebook = in_notebook()
    if request.quiet or not (notebook or sys.stdout.isatty()):
        return lines
    where = summary.where(opened.study, request.locations, tracking=request.tracking)
    if notebook:
        return stack.enter_context(NotebookProgress(output.console, lines, where))
    return stack.enter_context(LiveProgress(output.console, lines, where))


def catch_up(request: Request, name: str) -> SyncReport | TrackingError | None:
    """Sync a complete study to MLflow, since tags may be new or MLflow was out of reach at its end.

    Args:
        request: the call of hpo.run.
        name: name of the study.

    Returns:
        The result of the sync; None without tracking.
    """
    if not request.tracking:
        return None
    from hpo.tracking import MirrorThread

    mirror = MirrorThread(request.locations, name)
    mirror.start()
    return mirror.stop()


def tell_results(
    request: Request, opened: OpenStudy, split: Split, ended: RunEnd, output: Output
) -> FrozenTrial | None:
    """Print and tell the results; return the best trial, None if no trial is complete.

    Args:
        request: the call of hpo.run.
        opened: the study.
        split: the study's data.
        ended: the end of the run.
        output: streams for messages and events.
    """
    study, record, console = opened.study, opened.record, output.console
    for table in summary.result_tables(study, record, console):
        console.print(table)
    best = best_complete(comparable(record, study.get_trials(deepcopy=False)))
    if split.is_sampled and best is not None and best.value is not None:
        told = sample_line(split, best.value, record.config.objective)
        console.print(f"validation, best trial: {told}")
    if request.json:
        say_finished(output.events, record, ended, opened.config.n_trials, best)
    return best


def mlflow_lacks(synced: SyncReport | TrackingError | None) -> TrackingError | None:
    """Return what MLflow lacks after the last sync; None if that is nothing, or without tracking.

    Args:
        synced: the result of the last sync; trials that cannot be shown keep no other one out.
    """
    if synced is None or isinstance(synced, TrackingError):
        return synced
    return TrackingError("; ".join(synced.refused)) if synced.refused else None


def sent_at_end(
    locations: Locations,
    opened: OpenStudy,
    ended: RunEnd,
    say: Callable[[str], None],
    *,
    owned: bool,
) -> int:
    """Send the study's files to the artifact store, if there is one; return the exit code.

    Args:
        locations: the addresses of the study.
        opened: the study.
        ended: the end of the run; a sync that goes on after a stop is not waited for without end.
        say: called with what is missing.
        owned: True while this process owns the study, to record the parked trainings first.
    """
    study = opened.study
    try:
        if owned:
            record_snapshots(locations, study, opened.record)
        missing = send_files(locations, study, SYNC_SECONDS.get(ended.stop, math.inf))
    except KeyboardInterrupt:
        again = command("sync", study.study_name, locations)
        say(f"the artifact store is incomplete: interrupted\n  {again}")
        return INTERRUPTED
    if missing:
        say(missing)
    return ArtifactStoreError.exit_code if missing else 0


def notify_end(
    request: Request,
    opened: OpenStudy,
    ended: RunEnd,
    best: FrozenTrial | None,
    *,
    page: str | None,
    data: str,
    say: Callable[[str], None],
) -> None:
    """Tell the end of a run to the receivers of the study's [notify].

    Args:
        request: the call of hpo.run.
        opened: the study.
        ended: the end of the run.
        best: the best trial; None if no trial is complete.
        page: address of the study's trials in the MLflow UI; None: unknown.
        data: source of the data if it differs from the study's record; else "".
        say: called with a warning for each receiver that did not get the message.
    """
    record, places, name = opened.record, request.locations, opened.study.study_name
    shown = page or (experiments_address(mlflow_base(places)) if request.tracking else None)
    following = request.again
    if ended.reason == "complete":
        can_win = best is not None and record.config.trainable is None
        following = command("promote" if can_win else "report", name, places, data=data)
    links = study_links(opened.study._study_id, places, shown)
    told = ended_notice(record, best, ended.reason, ended.n_finished, links, following)
    hurried = ended.stop in ("interrupted", "terminated")
    seconds = TERMINATED_SECONDS if hurried else DELIVERY_SECONDS
    deliver(request.config.notify, told, say, seconds)


@contextmanager
def make_runners(
    request: Request, holdout: Holdout, record: StudyRecord
) -> Iterator[Sequence[Runner]]:
    """Make a runner for each slot and the data file for worker processes; remove both at the end.

    Args:
        request: the call of hpo.run.
        holdout: data for the trials.
        record: the study's record.
    """
    objective, cutoffs = record.config.objective, record.config.cutoffs
    trainable = record.config.trainable
    if request.runner == "inline":
        device = torch.device(request.devices[0])
        with torch_threads(request.config.threads or torch.get_num_threads()):
            yield [InlineRunner(holdout, objective, device, cutoffs, trainable)]
        return
    if request.runner == "ray":
        with working_folder(request.locations.storage, record.uid) as folder:
            data = folder / "holdout.safetensors"
            save_holdout(data, holdout)
            with ray_runners(request, holdout, record, data) as on_nodes:
                yield on_nodes
        return
    available = max(1, torch.get_num_threads() // len(request.devices))
    threads = request.config.threads or available
    if not (request.config.threads or trainable):
        two_tower = TrainConfig.of(request.config.train_config)
        threads = useful_threads(holdout.seen.n_items, two_tower, available)
    with working_folder(request.locations.storage, record.uid) as folder:
        data = folder / "holdout.safetensors"
        save_holdout(data, holdout)
        runners = [
            ProcessRunner(data, objective, device, threads, cutoffs, trainable)
            for device in request.devices
        ]
        try:
            yield runners
        finally:
            for runner in runners:
                runner.close()
