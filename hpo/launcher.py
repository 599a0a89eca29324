"""The launcher: from a request to a finished study. Everything that hpo.run wires together."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, TextIO

import optuna
import torch
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from rich.console import Console

from hpo import summary
from hpo.afterwards import promote, report, say_finished
from hpo.constraints import Constraints
from hpo.data import as_stored, load_data
from hpo.environment import environment
from hpo.hold import Hold
from hpo.ledger import Ledger
from hpo.live import LiveProgress
from hpo.locks import exclusive
from hpo.output import steadfast
from hpo.progress import JsonProgress, LineProgress, Progress
from hpo.records import StudyRecord, best_complete, comparable
from hpo.runners import Runner
from hpo.runners.inline import InlineRunner
from hpo.runners.process import ProcessRunner
from hpo.scheduler import Ended, Scheduler
from hpo.settings import OBJECTIVE, Places, StudyConfig
from hpo.storage import open_storage, parking_place, working_folder
from hpo.study import leave_out, load_study, new_uid, open_study
from hpo.warm_starts import with_best_of
from recsys.baselines import Popularity
from recsys.cli import INTERRUPTED
from recsys.console import sample_line
from recsys.errors import TrackingError
from recsys.evaluation import Evaluator
from recsys.model_size import model_mb
from recsys.prepared import save_holdout
from recsys.split import Holdout, Split
from recsys.threads import useful_threads

TERMINATED = 143
TERMINATED_SECONDS = 3.0  # for the last sync; containers are killed after ten
EXIT_CODES = {"complete": 0, "timeout": 0, "interrupted": INTERRUPTED, "terminated": TERMINATED}


@dataclass(frozen=True)
class Request:
    """What one call of hpo.run asks for.

    Attributes:
        file_stem: of the study file; the default study name is `<file_stem>-<data>`.
        devices: torch device name of each worker.
        tracking: whether MLflow is kept up beside the study.
        report: whether the report is written at the end.
        promote: whether the winner is registered at the end.
        accept_changes: whether a study goes on with other data or another space.
        json: events on stdout, all that is for people on stderr.
        warm_start_from: a study whose best configs are tried first; None: no such study.
    """

    config: StudyConfig
    file_stem: str
    places: Places
    runner: Literal["process", "inline"]
    devices: Sequence[str]
    tracking: bool
    report: bool
    promote: bool
    accept_changes: bool = False
    json: bool = False
    warm_start_from: str | None = None


def launch(request: Request) -> int:
    """Run or continue the study until it has its trials; the exit code."""
    events = steadfast(sys.stdout)
    people = steadfast(sys.stderr) if request.json else events
    console = Console(file=people, highlight=False, soft_wrap=True)
    data_name, split = load_data(request.config)
    name = request.config.name or f"{request.file_stem}-{data_name}"
    config = request.config.model_copy(update={"name": name})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", "Argument ``group``", ExperimentalWarning)
    measures = {"model_mb": partial(model_mb, split.tuning.seen)}
    Constraints(config, measures).check()
    storage = open_storage(request.places.storage)
    if request.warm_start_from:
        config = with_best_of(load_study(storage, request.warm_start_from), config, console.print)
    with exclusive(request.places.storage, name, on_wait=partial(_wait, console)) as hold:
        study, record = open_study(
            storage,
            name,
            make_record(config, data_name, split),
            accept_changes=request.accept_changes,
        )
        broken = Constraints(record.config, measures).broken_by(study.get_trials(deepcopy=False))
        record = leave_out(study, record, broken)
        parked = parking_place(request.places.storage, record)
        ledger = Ledger(study, record.config, parked, measures)
        if died := ledger.recover():
            console.print(f"found {died} running when a launcher died; running them again")
        n_before = ledger.n_finished()
        if n_before >= config.n_trials:
            console.print(f"study {name} is already complete: {n_before} trials finished")
            ended, tracking = Ended("complete", n_before), _catch_up(request, name)
        else:
            console.print(summary.heading(record, config.n_trials, n_before, request.places))
            if split.is_sampled:
                popular = record.baselines["popularity"][OBJECTIVE]
                console.print(f"validation, popularity: {sample_line(split, popular)}")
            ended, tracking = _run(request, config, ledger, split, study, hold, console, events)
    console.print(summary.table(study, record))
    console.print(summary.best_config(study, record), end="")
    best = best_complete(comparable(record, study.get_trials(deepcopy=False)))
    if split.is_sampled and best is not None and best.value is not None:
        console.print(f"validation, best trial: {sample_line(split, best.value)}")
    console.print(summary.ending(study, ended, config.n_trials, request.places, tracking))
    if request.json:
        say_finished(events, name, ended, config.n_trials, best)
    code = EXIT_CODES[ended.reason]
    if code == 0 and request.report:
        report(request, study, split, tracking, console)
    if code == 0 and request.promote:
        code = promote(request, name, console, events)
    return code or (tracking.exit_code if tracking else 0)


def _wait(console: Console, held: str) -> None:
    console.print(f"{held}; waiting until it ends (Ctrl-C to leave)")


def make_record(config: StudyConfig, data_name: str, split: Split) -> StudyRecord:
    """What the study would be if it were made now."""
    return StudyRecord(
        uid=new_uid(),
        config=as_stored(config, split),
        data_name=data_name,
        split_fingerprint=split.fingerprint,
        counts={
            "n_users": split.interactions.n_users,
            "n_items": split.interactions.n_items,
            **dict(zip(("n_train", "n_validation", "n_test"), split.counts, strict=True)),
        },
        baselines={"popularity": _popularity(split.tuning)},
        environment=environment(),
    )


def _popularity(holdout: Holdout) -> dict[str, float]:
    device = torch.device("cpu")
    evaluator = Evaluator(holdout, device)
    return evaluator.evaluate(Popularity(holdout.seen, device)).mean().as_dict()


def _run(
    request: Request,
    config: StudyConfig,
    ledger: Ledger,
    split: Split,
    study: Study,
    hold: Hold,
    console: Console,
    events: TextIO,
) -> tuple[Ended, TrackingError | None]:
    """Run trials with MLflow beside; what is missing in MLflow at the end comes back as error."""
    mirror = None
    if request.tracking:
        from hpo.tracking.thread import MirrorThread

        mirror = MirrorThread(request.places, study.study_name)
    with ExitStack() as stack:
        runners = stack.enter_context(_runners(request, split.tuning, StudyRecord.of(study).uid))
        best = ledger.best()
        lines = LineProgress(
            console, config.n_trials, ledger.n_finished(), best.value or 0.0 if best else 0.0
        )
        progress: Progress = lines
        if request.json:
            progress = JsonProgress(events)
        elif sys.stdout.isatty():
            where = summary.where(study, request.places, tracking=request.tracking)
            progress = stack.enter_context(LiveProgress(console, lines, where))
        if mirror:
            mirror.start()
        patience = math.inf
        try:
            scheduler = Scheduler(
                ledger,
                runners,
                progress,
                config.n_trials,
                config.timeout,
                config.trial_seconds,
                hold,
            )
            ended = scheduler.run()
            if ended.reason == "terminated":
                patience = TERMINATED_SECONDS
        finally:
            tracking = mirror.stop(patience) if mirror else None
    return ended, tracking if isinstance(tracking, TrackingError) else None


def _catch_up(request: Request, name: str) -> TrackingError | None:
    """Bring MLflow up to a study that is complete already: new tags, or an outage at its end."""
    if not request.tracking:
        return None
    from hpo.tracking.thread import MirrorThread

    mirror = MirrorThread(request.places, name)
    mirror.start()
    result = mirror.stop()
    return result if isinstance(result, TrackingError) else None


@contextmanager
def _runners(request: Request, holdout: Holdout, uid: str) -> Iterator[Sequence[Runner]]:
    """The slots, and the file that worker processes read; both go when the block ends."""
    if request.runner == "inline":
        yield [InlineRunner(holdout, torch.device(request.devices[0]))]
        return
    available = max(1, torch.get_num_threads() // len(request.devices))
    useful = useful_threads(holdout.seen.n_items, request.config.train_config, available)
    threads = request.config.threads or useful
    with working_folder(request.places.storage, uid) as folder:
        data = folder / "holdout.safetensors"
        save_holdout(data, holdout)
        runners = [ProcessRunner(data, device, threads) for device in request.devices]
        try:
            yield runners
        finally:
            for runner in runners:
                runner.close()
