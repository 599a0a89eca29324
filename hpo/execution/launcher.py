"""The launcher: from a request to a finished study. Everything that hpo.run wires together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TextIO

import optuna
import torch
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial
from rich.console import Console

from hpo.config.study_config import StudyConfig
from hpo.config.validation import check
from hpo.errors import StudyStopped
from hpo.execution import summary
from hpo.execution.ledger import Ledger
from hpo.execution.progress import JsonProgress
from hpo.execution.request import Request, Speech
from hpo.execution.running_trial import Ended
from hpo.execution.session import OpenStudy, catch_up, run_trials
from hpo.gate.rivals import check_baselines
from hpo.reporting.report import is_reported, report_at_end
from hpo.search.constraints import Constraints
from hpo.study.data import as_stored, load_data, moved
from hpo.study.environment import environment_facts
from hpo.study.lifecycle import leave_out, load_study, new_uid, open_study, stored_record
from hpo.study.locks import exclusive
from hpo.study.records import StudyRecord, best_complete, comparable
from hpo.study.settling import settled
from hpo.study.storage import open_storage, parking_place, storage_failures, storage_if_there
from hpo.study.warm_starts import with_best_of
from recsys.cli.entry import INTERRUPTED
from recsys.cli.formatting import sample_line
from recsys.data.splitting import Holdout, Split
from recsys.errors import TrackingError
from recsys.evaluation.evaluator import Evaluator
from recsys.messages import count
from recsys.models.baselines import Popularity
from recsys.models.size import model_mb

if TYPE_CHECKING:
    from hpo.tracking.mirror import SyncReport


def say_finished(
    events: TextIO, record: StudyRecord, ended: Ended, n_trials: int, best: FrozenTrial | None
) -> None:
    """The event of --json that ends a study."""
    found = {"trial": best.number, "value": best.value, "params": best.params} if best else None
    counts = {"n_finished": ended.n_finished, "n_trials": n_trials}
    about = {"study": record.config.name, "objective": record.config.objective}
    JsonProgress(events).say("finished", **about, reason=ended.reason, **counts, best=found)


def say_stopped(events: TextIO, name: str, error: StudyStopped) -> None:
    """The event of --json that ends a study which more trials would not mend."""
    JsonProgress(events).say("stopped", study=name, message=str(error))


def report(
    request: Request, study: Study, split: Split, tracking: TrackingError | None, console: Console
) -> int:
    """Write the report, unless there is one of all these trials already; the exit code."""
    if is_reported(request.locations, study):
        return 0
    console.print("writing the report (Ctrl-C leaves it out, and loses no trial)")
    log = request.tracking and tracking is None  # MLflow is out of reach otherwise
    try:
        console.print(report_at_end(request.locations, study.study_name, split, log=log))
    except KeyboardInterrupt:
        console.print("no report: interrupted")
        return INTERRUPTED
    return 0


def run_promotion(request: Request, name: str, speech: Speech) -> int:
    """Promote the winner; the exit code."""
    from hpo.promotion.promote import promote_study
    from hpo.promotion.summary import promotion_summary

    source = request.config.data.source  # it may have moved since the study was made
    say = speech.people.print
    found = promote_study(request.locations, name, data=source, say=say)
    say(promotion_summary(found, request.locations))
    if request.json:
        place = found.registered
        JsonProgress(speech.programs).say(
            "promoted",
            study=name,
            trial=found.trial,
            passed=found.passed,
            version=place.version if place else None,
            role=place.role if place else None,
            refused=place.refused if place else None,
        )
    return 0 if found.passed else 1


TERMINATED = 143
EXIT_CODES = {"complete": 0, "timeout": 0, "interrupted": INTERRUPTED, "terminated": TERMINATED}


@storage_failures()
def launch(request: Request) -> int:
    """Run or continue the study until it has its trials; the exit code."""
    check(request.config)
    speech = Speech.of(request)
    quieten_optuna()
    data_name, split = load_data(request.config)
    with _opened(request, data_name, split, speech) as opened:
        n_before, n_trials = opened.ledger.n_finished(), opened.config.n_trials
        if n_before >= n_trials:
            name = opened.study.study_name
            speech.people.print(
                f"study {name} is already complete: {count(n_before, 'trial')} finished"
            )
            if not opened.ledger.n_comparable():
                speech.people.print(
                    "none of them compares with the data of today: raise --n-trials to try some"
                )
            ended, synced = Ended("complete", n_before), catch_up(request, name)
        else:
            record, people = opened.record, speech.people
            people.print(summary.heading(record, n_trials, n_before, request.locations))
            if split.is_sampled:
                objective = record.config.objective
                popular = record.baselines["popularity"][objective]
                people.print(f"validation, popularity: {sample_line(split, popular, objective)}")
            try:
                ended, synced = run_trials(request, opened, speech)
            except StudyStopped as error:
                if request.json:
                    say_stopped(speech.programs, opened.study.study_name, error)
                raise
    return _conclude(request, opened, split, ended, synced, speech)


def quieten_optuna() -> None:
    """Nothing of each trial, and of what is experimental in samplers that we chose to offer."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for beginning in ("Argument ``group``", "QMCSampler"):
        warnings.filterwarnings("ignore", beginning, ExperimentalWarning)


@contextmanager
def _opened(request: Request, data_name: str, split: Split, speech: Speech) -> Iterator[OpenStudy]:
    """The study, made or continued, and owned by this process while the block runs."""
    locations, people = request.locations, speech.people
    name = request.config.name or f"{request.file_stem}-{data_name}"
    config = request.config.model_copy(update={"name": name})
    storage = storage_if_there(locations.storage)
    stored = stored_record(storage, name) if storage else None
    config, lines = settled(config, split.interactions, stored)
    for line in lines:
        people.print(line)
    measures = {"model_mb": partial(model_mb, split.tuning.seen)}
    Constraints(config, measures).check()
    check_baselines(config.promotion, split.interactions.n_items)
    storage = storage or open_storage(locations.storage)  # a refused study leaves no file
    if request.warm_start_from:
        config = with_best_of(load_study(storage, request.warm_start_from), config, people.print)

    def wait(held: str) -> None:
        people.print(f"{held}; waiting until it ends (Ctrl-C to leave)")

    with exclusive(locations.storage, name, on_wait=wait) as hold:
        now = make_record(config, data_name, split)
        study, record = open_study(storage, name, now, accept_changes=request.accept_changes)
        broken = Constraints(record.config, measures).broken_by(study.get_trials(deepcopy=False))
        record = leave_out(study, record, broken)
        ledger = Ledger(study, record.config, parking_place(locations.storage, record), measures)
        if died := ledger.recover():
            people.print(f"found {died} running when a launcher died; running them again")
        yield OpenStudy(study, record, config, split.tuning, ledger, hold)


def _conclude(
    request: Request,
    opened: OpenStudy,
    split: Split,
    ended: Ended,
    synced: SyncReport | TrackingError | None,
    speech: Speech,
) -> int:
    """Tell what came out, then do what follows; the exit code."""
    study, record, people = opened.study, opened.record, speech.people
    tracking = synced if isinstance(synced, TrackingError) else None
    page = None if synced is None or isinstance(synced, TrackingError) else synced.address
    n_trials = opened.config.n_trials
    for table in summary.result_tables(study, record, people):
        people.print(table)
    best = best_complete(comparable(record, study.get_trials(deepcopy=False)))
    if split.is_sampled and best is not None and best.value is not None:
        told = sample_line(split, best.value, record.config.objective)
        people.print(f"validation, best trial: {told}")
    if request.json:
        say_finished(speech.programs, record, ended, n_trials, best)
    code = EXIT_CODES[ended.reason]
    if code == 0 and request.report:
        code = report(request, study, split, tracking, people)
    people.print(
        summary.ending(
            study,
            ended,
            n_trials,
            request.locations,
            tracking,
            again=request.again,
            data=_moved_to(request.config, record),
            page=page,
        )
    )
    if code == 0 and request.promote:
        code = run_promotion(request, study.study_name, speech)
    return code or (tracking.exit_code if tracking else 0)


def _moved_to(config: StudyConfig, record: StudyRecord) -> str:
    """Return where the data of this call is, "" if the study itself says so."""
    data = config.data
    there = moved(data, data.source).source == record.config.data.source
    return "" if there else data.source


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
        environment=environment_facts(),
    )


def _popularity(holdout: Holdout) -> dict[str, float]:
    device = torch.device("cpu")
    evaluator = Evaluator(holdout, device)
    return evaluator.evaluate(Popularity(holdout.seen, device)).mean().as_dict()
