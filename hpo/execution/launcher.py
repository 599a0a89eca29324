"""Launcher of hpo.run: from a request to an ended study."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import torch
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial
from rich.console import Console

from hpo.config import StudyConfig, check_study, default_name
from hpo.errors import StudyStopped
from hpo.execution import summary
from hpo.execution.engines.ray_engine import on_ray
from hpo.execution.ledger import Ledger
from hpo.execution.progress import JsonProgress, say_stopped
from hpo.execution.request import Output, Request
from hpo.execution.running_trial import RunEnd
from hpo.execution.session import (
    OpenStudy,
    catch_up,
    mlflow_lacks,
    notify_end,
    run_trials,
    sent_at_end,
    tell_results,
)
from hpo.execution.stopping.stop_request import sign_on_if_there
from hpo.execution.store.storage_retries import StorageRetries
from hpo.gate import check_baselines
from hpo.notices import deliver, failed_notice
from hpo.reporting import edge_hints, is_reported, report_at_end, report_folder
from hpo.search import Constraints, fitted_to_gpus, say_capacity, say_random_draws
from hpo.study import (
    ArtifactStore,
    StudyRecord,
    adjust_to_data,
    as_stored,
    best_metrics,
    comparable,
    environment_facts,
    exclusive,
    fetch_snapshots,
    load_data,
    load_named,
    new_uid,
    open_storage,
    open_study,
    parking_place,
    read_trials,
    storage_if_there,
    store_infeasible,
    stored_record,
    translated_storage_errors,
    with_best_of,
    with_source,
)
from recsys.cli import INTERRUPTED, sample_line
from recsys.data import Holdout, Split
from recsys.errors import TrackingError
from recsys.evaluation import Evaluator, measured_names
from recsys.messages import count, nothing, to_stderr
from recsys.models import Popularity, model_mb
from recsys.training import trained_users

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

    from hpo.tracking import SyncReport


def report(
    request: Request, study: Study, split: Split, data: str, console: Console, *, log: bool
) -> int:
    """Write the report unless there is one of all these trials already; return the exit code.

    Args:
        request: the call of hpo.run.
        study: the study.
        split: the study's data.
        data: source of the data if it differs from the study's record; else "".
        console: console for messages.
        log: copy the report into MLflow, too.
    """
    if is_reported(request.locations, study):
        folder = report_folder(request.locations, study.study_name)
        console.print(f"the report of these trials is there already, in {folder}")
        return 0
    console.print("writing the report (Ctrl-C leaves it out, and loses no trial)")
    try:
        text, code = report_at_end(request.locations, study.study_name, split, log=log, data=data)
        console.print(text)
    except KeyboardInterrupt:
        console.print("no report: interrupted")
        return INTERRUPTED
    return code


def promote_winner(request: Request, name: str, output: Output) -> int:
    """Promote the winner; return the exit code.

    Args:
        request: the call of hpo.run.
        name: name of the study.
        output: streams for messages and events.
    """
    from hpo.promotion import promote_study, promotion_summary

    source = request.config.data.source  # the data may have moved since the study was made
    say = output.console.print
    notify = request.config.notify
    found = promote_study(request.locations, name, data=source, say=say, notify=notify)
    say(promotion_summary(found, request.locations))
    if request.json:
        place = found.registered
        JsonProgress(output.events).say(
            "promoted",
            study=name,
            trial=found.trial,
            passed=found.passed,
            model=place.model if place else None,
            version=place.version if place else None,
            role=place.role if place else None,
            refused=place.refused if place else None,
        )
    return 0 if found.passed else 1


TERMINATED = 143
EXIT_CODES = {
    "complete": 0,
    "timeout": 0,
    "requested": 0,
    "interrupted": INTERRUPTED,
    "terminated": TERMINATED,
}


def launch(request: Request) -> int:
    """Run or continue the study until it has its trials; return the exit code.

    An error after the first checks is also told to the receivers of the study's [notify].

    Raises:
        SettingsError: the request contradicts itself, or storage or space are unusable.
        StudyError: the study cannot be continued with these settings.
        StudyStopped: the study was stopped by an error, see `Scheduler.run`, or its storage failed.
        DataError: the data cannot be loaded.
    """
    check_study(request.config)
    if request.promote:
        request.config.require_two_tower("promotion registers")
    output = Output.of(request)
    quieten_optuna()
    try:
        return _on_engine(request, output)
    except Exception as error:
        name = default_name(Path(f"{request.file_stem}.toml"), request.config)
        told = failed_notice(name, error, request.again)
        deliver(request.config.notify, told, output.console.print)
        raise


@translated_storage_errors()
def _on_engine(request: Request, output: Output) -> int:
    """Run or continue the study on its engine; return the exit code."""
    if request.runner != "ray":
        return _launch(request, output)
    with on_ray(request, output.console.print) as joined:
        return _launch(joined, output)


def _launch(request: Request, output: Output) -> int:
    """Run or continue the study, whose engine is ready; return the exit code."""
    say = nothing if request.quiet else to_stderr
    data_name, split = load_data(request.config, say, announce=say)
    ArtifactStore.at(request.locations.artifacts)  # a missing driver is told before much is made
    storage = storage_if_there(request.locations.storage)
    request = _adjusted(request, storage, data_name, split, output)
    request = _fitted(request, split, output)
    say_random_draws(request.config, output.console.print)
    if request.config.trainable is None:  # nobody knows what another model takes
        say_capacity(request.config, request.devices[0], split.tuning.seen, output.console.print)
    with _opened(request, storage, data_name, split, output) as opened:
        n_before, n_trials = opened.ledger.n_finished(), opened.config.n_trials
        if n_before >= n_trials:
            name = opened.study.study_name
            output.console.print(
                f"study {name} is already complete: {count(n_before, 'trial')} finished"
            )
            if not opened.ledger.n_comparable():
                output.console.print(
                    "none of them can be compared on today's data; raise --n-trials for new ones"
                )
            ended, synced = RunEnd("complete", n_before), catch_up(request, name)
        else:
            record, console = opened.record, output.console
            timed = split.interactions.times is not None
            head = (record, n_trials, n_before, request.locations)
            console.print(summary.heading(*head, timed=timed))
            if split.is_sampled:
                objective = record.config.objective
                popular = record.baselines["popularity"][objective]
                console.print(f"validation, popularity: {sample_line(split, popular, objective)}")
            try:
                ended, synced = run_trials(request, opened, output)
            except StudyStopped as error:
                if request.json:
                    say_stopped(output.events, opened.study.study_name, error)
                raise
        today = opened.reread()
        # before files are sent: that may take longer than a container that is stopped has left
        best = tell_results(request, today, split, ended, output)
        # while the study is owned: who waits for it goes on with the parked trainings
        sent = sent_at_end(request.locations, today, ended, output.console.print, owned=True)
    is_news = n_before < n_trials
    return _conclude(request, today, split, ended, best, synced, sent, output, is_news=is_news)


def _adjusted(
    request: Request, storage: RDBStorage | None, data_name: str, split: Split, output: Output
) -> Request:
    """Return the request with the study's name, and its config adjusted to data and devices."""
    name = request.config.name or f"{request.file_stem}-{data_name}"
    config = request.config.model_copy(update={"name": name})
    stored = stored_record(storage, name) if storage else None
    users = None if "cpu" in request.devices else len(trained_users(split.tuning.seen))
    config, lines = adjust_to_data(config, split.interactions, stored, users)
    for line in lines:
        output.console.print(line)
    return replace(request, config=config)


def _fitted(request: Request, split: Split, output: Output) -> Request:
    """Return the request with the workers that its GPUs have memory for."""
    if request.runner == "ray":
        return request  # the GPUs are the cluster's
    shared, seen, say = request.runner == "process", split.tuning.seen, output.console.print
    devices = fitted_to_gpus(request.config, request.devices, seen, say, shared=shared)
    return replace(request, devices=devices)


def quieten_optuna() -> None:
    """Silence Optuna's log of each trial and experimental warnings on samplers that hpo offers."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for beginning in ("Argument ``group``", "QMCSampler"):
        warnings.filterwarnings("ignore", beginning, ExperimentalWarning)


@contextmanager
def _opened(
    request: Request, storage: RDBStorage | None, data_name: str, split: Split, output: Output
) -> Iterator[OpenStudy]:
    """Make or continue the study, and own it while the block runs."""
    locations, console = request.locations, output.console
    config, name = request.config, str(request.config.name)
    measures = {"model_mb": partial(model_mb, split.tuning.seen)}
    Constraints(config, measures).check()
    check_baselines(config.promotion, split.interactions.n_items)
    storage = storage or open_storage(locations.storage)  # a refused study leaves no file
    if request.warm_start_from:
        config = with_best_of(load_named(storage, request.warm_start_from), config, console.print)

    def wait(held: str) -> None:
        console.print(f"{held}; waiting until it ends (Ctrl-C to leave)")

    with exclusive(locations.storage, name, on_wait=wait) as hold:
        retries = StorageRetries(hold, console.print)
        me = retries.call(partial(sign_on_if_there, storage, name))  # before the long work
        now = make_record(config, data_name, split)

        def take_over() -> tuple[Study, StudyRecord, Ledger]:
            study, record = open_study(storage, name, now, accept_changes=request.accept_changes)
            hold.sign(study)
            trials = study.get_trials(deepcopy=False)
            broken = Constraints(record.config, measures).broken_by(trials, best_metrics)
            record = store_infeasible(study, record, broken)
            parked = parking_place(locations.storage, record)
            ledger = Ledger(study, record.config, parked, measures)
            ledger.sign_on(me)
            if died := ledger.recover():
                lost = count(died, "trial")
                console.print(f"a launcher died and left {lost} running; trying again")
            fetch_snapshots(locations, study, record, console.print)
            return study, record, ledger

        study, record, ledger = retries.call(take_over)
        yield OpenStudy(study, record, config, split.tuning, ledger, hold)


def _conclude(
    request: Request,
    opened: OpenStudy,
    split: Split,
    ended: RunEnd,
    best: FrozenTrial | None,
    synced: SyncReport | TrackingError | None,
    sent: int,
    output: Output,
    *,
    is_news: bool,
) -> int:
    """Write the report, tell the end, and promote as requested; return the exit code.

    Args:
        request: the call of hpo.run.
        opened: the study.
        split: the study's data.
        ended: the end of the run.
        best: the best trial; None if no trial is complete.
        synced: result of the last sync into MLflow; None without tracking.
        sent: exit code of `sent_at_end` before the report.
        output: streams for messages and events.
        is_news: False if the study was complete before this call; then no message is sent.
    """
    study, record, console = opened.study, opened.record, output.console
    tracking = mlflow_lacks(synced)
    page = None if synced is None or isinstance(synced, TrackingError) else synced.address
    n_trials, data = opened.config.n_trials, _other_source(request.config, record)
    code, lacking = EXIT_CODES[ended.reason], 0
    if code == 0 and sent == INTERRUPTED:  # nothing long follows Ctrl-C
        code = INTERRUPTED
    if code == 0 and request.report and not ended.stop:  # else someone wants the machine back
        log = request.tracking and not isinstance(synced, TrackingError)  # out of reach
        lacking = report(request, study, split, data, console, log=log)
        # the report, too
        sent = sent_at_end(request.locations, opened, ended, console.print, owned=False)
        # other faults do not stop a promotion
        code = INTERRUPTED if INTERRUPTED in (lacking, sent) else 0
    console.print(
        summary.ending(
            study,
            ended,
            n_trials,
            request.locations,
            tracking,
            again=request.again,
            data=data,
            page=page,
            edges=edge_hints(record.config, comparable(record, read_trials(study))),
            reported=is_reported(request.locations, study),
            timed=split.interactions.times is not None,
        )
    )
    if is_news:
        notify_end(request, opened, ended, best, page=page, data=data, say=console.print)
    if code == 0 and request.promote and not ended.stop:
        code = promote_winner(request, study.study_name, output)
    return code or lacking or (tracking.exit_code if tracking else sent)  # 3: incomplete


def _other_source(config: StudyConfig, record: StudyRecord) -> str:
    """Return the source of this call's data; "" if it is the one in the study's record."""
    data = config.data
    there = with_source(data, data.source).source == record.config.data.source
    return "" if there else data.source


def make_record(config: StudyConfig, data_name: str, split: Split) -> StudyRecord:
    """Return the record of the study as if it were made now.

    Args:
        config: the study's config.
        data_name: short name of the data.
        split: the study's data.
    """
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
        baselines={"popularity": _popularity(split.tuning, config)},
        environment=environment_facts(),
    )


def _popularity(holdout: Holdout, config: StudyConfig) -> dict[str, float]:
    """Return the metrics of the popularity baseline on validation.

    Args:
        holdout: train and validation.
        config: its objective and cut-offs say which metrics.
    """
    device = torch.device("cpu")
    evaluator = Evaluator(holdout, device, names=measured_names(config.objective, config.cutoffs))
    return evaluator.evaluate(Popularity(holdout.seen, device)).mean().as_dict()
