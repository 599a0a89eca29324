"""The trials of a study that is open: workers, progress, and MLflow beside."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from optuna import Study

from hpo.config.study_config import StudyConfig
from hpo.execution import summary
from hpo.execution.ledger import Ledger
from hpo.execution.live_view import LiveProgress
from hpo.execution.progress import JsonProgress, LineProgress, Progress
from hpo.execution.request import Request, Speech
from hpo.execution.running_trial import Ended
from hpo.execution.scheduler import Scheduler
from hpo.runners.base import Runner
from hpo.runners.inline import InlineRunner
from hpo.runners.process import ProcessRunner
from hpo.study.locks import Hold
from hpo.study.records import StudyRecord
from hpo.study.storage import working_folder
from recsys.data.holdout_file import save_holdout
from recsys.data.splitting import Holdout
from recsys.errors import TrackingError
from recsys.training.resources import useful_threads

if TYPE_CHECKING:
    from hpo.tracking.mirror import SyncReport

TERMINATED_SECONDS = 3.0  # for the last sync; containers are killed after ten


@dataclass(frozen=True, eq=False)
class OpenStudy:
    """A study that this process owns.

    Attributes:
        config: of this call; the study's own is in its record.
        holdout: what its trials train on and are asked.
        hold: of its lock.
    """

    study: Study
    record: StudyRecord
    config: StudyConfig
    holdout: Holdout
    ledger: Ledger
    hold: Hold


def run_trials(
    request: Request, opened: OpenStudy, speech: Speech
) -> tuple[Ended, SyncReport | TrackingError | None]:
    """Run trials with MLflow beside; what came of that at the end, None without tracking."""
    mirror = None
    if request.tracking:
        from hpo.tracking.background import MirrorThread

        mirror = MirrorThread(request.locations, opened.study.study_name)
    config = opened.config
    with ExitStack() as stack:
        runners = stack.enter_context(make_runners(request, opened.holdout, opened.record))
        progress = _progress(request, opened, speech, stack)
        if mirror:
            mirror.start()
        patience = math.inf
        try:
            scheduler = Scheduler(
                opened.ledger,
                runners,
                progress,
                config.n_trials,
                config.timeout,
                config.trial_seconds,
                opened.hold,
            )
            ended = scheduler.run()
            if ended.reason == "terminated":
                patience = TERMINATED_SECONDS
        finally:
            tracking = mirror.stop(patience) if mirror else None
    return ended, tracking


def _progress(request: Request, opened: OpenStudy, speech: Speech, stack: ExitStack) -> Progress:
    if request.json:
        return JsonProgress(speech.programs)
    ledger, best, config = opened.ledger, opened.ledger.best(), opened.config
    value = best.value or 0.0 if best else 0.0
    lines = LineProgress(
        speech.people, config.n_trials, ledger.n_finished(), value, config.objective
    )
    if not sys.stdout.isatty():
        return lines
    where = summary.where(opened.study, request.locations, tracking=request.tracking)
    return stack.enter_context(LiveProgress(speech.people, lines, where))


def catch_up(request: Request, name: str) -> SyncReport | TrackingError | None:
    """Bring MLflow up to a study that is complete already: new tags, or an outage at its end."""
    if not request.tracking:
        return None
    from hpo.tracking.background import MirrorThread

    mirror = MirrorThread(request.locations, name)
    mirror.start()
    return mirror.stop()


@contextmanager
def make_runners(
    request: Request, holdout: Holdout, record: StudyRecord
) -> Iterator[Sequence[Runner]]:
    """The slots, and the file that worker processes read; both go when the block ends."""
    objective = record.config.objective
    if request.runner == "inline":
        yield [InlineRunner(holdout, objective, torch.device(request.devices[0]))]
        return
    available = max(1, torch.get_num_threads() // len(request.devices))
    useful = useful_threads(holdout.seen.n_items, request.config.train_config, available)
    threads = request.config.threads or useful
    with working_folder(request.locations.storage, record.uid) as folder:
        data = folder / "holdout.safetensors"
        save_holdout(data, holdout)
        runners = [ProcessRunner(data, objective, device, threads) for device in request.devices]
        try:
            yield runners
        finally:
            for runner in runners:
                runner.close()
