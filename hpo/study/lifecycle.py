"""Creation, continuation and loading of studies; a study continues only as the same experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna import Study
from optuna.pruners import NopPruner
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from hpo.config import Locations, SearchSpace, command, shell_line
from hpo.errors import StudyError
from hpo.study.differences import acceptable, prohibitive
from hpo.study.records import STUDY, Moved, Outcome, StudyRecord, best_complete, comparable
from recsys.invocation import command_words
from recsys.messages import count

SHOWN_STUDIES = 10
# Settings of the search and of the steps after it; trials on both sides of a change are comparable.
CHANGEABLE = (
    "sampler",
    "pruner",
    "promotion",
    "notify",
    "retries",
    "metrics",
    "workers",
    "threads",
    "device_slots",
    "resources",
    "timeout",
    "trial_seconds",
)


def load_named(storage: RDBStorage, name: str | None, *, moved: bool = False) -> Study:
    """Return the study `name`, or the only one that hpo made.

    Commands that train or change something use this function, since a guess among several studies
    could be wrong.

    Args:
        storage: the storage of the studies.
        name: name of the study; None: the only one.
        moved: return also a study that was moved to another storage.

    Raises:
        StudyError: there is no such study, or there are several and none is named (the message
            lists the existing ones), or it was moved.
    """
    names = _study_names(storage, name)
    if name is None and len(names) > 1:
        raise StudyError(
            [
                f"{len(names)} studies here; say which one with --study-name NAME:",
                *study_lines(storage, names[::-1]),
            ]
        )
    study = optuna.load_study(study_name=name or names[-1], storage=storage)
    if not moved:
        _refuse_moved(study)
    return study


def _refuse_moved(study: Study) -> None:
    """Refuse a study that goes on in another storage: two of one uid would overwrite each other.

    Raises:
        StudyError: the study was moved.
    """
    if mark := Moved.of(study):
        storage: Any = study._storage
        url = getattr(storage, "_backend", storage).url  # of Optuna's cache, or without one
        words = command_words("hpo.copy-study")
        undo = shell_line(*words, "--from", url, "--study-name", study.study_name, "--undo")
        raise StudyError(
            f"study {study.study_name!r} was moved and goes on in {mark.to}: give that with "
            f"--storage. Only if it is lost there, let it go on here: {undo}"
        )


def load_newest(storage: RDBStorage, name: str | None, say: Callable[[str], None]) -> Study:
    """Return the study `name`, or the newest one that hpo made, for commands that only read.

    Args:
        storage: the storage of the studies.
        name: name of the study; None: the newest.
        say: called with a line on the choice if `name` is None and there are several studies.

    Raises:
        StudyError: there is no such study; the message lists the existing ones.
    """
    names = _study_names(storage, name)
    if name is None and len(names) > 1:
        say(f"study {names[-1]}, the newest of {len(names)}; choose another with --study-name NAME")
    return optuna.load_study(study_name=name or names[-1], storage=storage)


def _study_names(storage: RDBStorage, name: str | None) -> list[str]:
    """Return the names of hpo's studies, oldest first; at least one, and `name` among them.

    Raises:
        StudyError: there are no studies, or none is called `name`.
    """
    names = hpo_studies(storage)
    if not names:
        start = command("run", locations=Locations(storage.url), more={"--n-trials": "50"})
        raise StudyError(f"no study here yet; start one with: {start}")
    if name is not None and name not in names:
        raise StudyError(f"no study {name!r} here; there are: {', '.join(names)}")
    return names


def stored_record(storage: RDBStorage, name: str) -> StudyRecord | None:
    """Return the record of the study `name`, or None if hpo made no study of that name.

    Args:
        storage: the storage of the studies.
        name: name of the study.
    """
    return StudyRecord.of(load_named(storage, name)) if name in hpo_studies(storage) else None


def hpo_studies(storage: RDBStorage) -> list[str]:
    """Return the names of the studies made by hpo, oldest first."""
    # optuna.get_all_study_summaries would read every trial: 2 s for 1,000 trials
    ours = [study for study in storage.get_all_studies() if STUDY in study.user_attrs]
    return [study.study_name for study in sorted(ours, key=lambda study: study._study_id)]


def open_study(
    storage: RDBStorage, name: str, record: StudyRecord, *, accept_changes: bool = False
) -> tuple[Study, StudyRecord]:
    """Make the study, or continue it if it is the same experiment.

    Args:
        storage: the storage of the study.
        name: name of the study.
        record: the record that the study would have if it were made now.
        accept_changes: continue with other data, split, seed, ranges or constraints; the record
            notes the changes and the first trial after them.

    Returns:
        The study and its stored record, with the uid and all else of its creation.

    Raises:
        StudyError: a study of that name differs in objective, data, split, seed, features, space,
            defaults or constraints, was not made by hpo, or was moved.
    """
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=NopPruner(),  # hpo.search.pruners prunes; None would mean Optuna's median pruner
    )
    _refuse_moved(study)
    if STUDY not in study.user_attrs:
        if study.get_trials(deepcopy=False) or study.directions != [StudyDirection.MAXIMIZE]:
            raise StudyError(
                f"study {name!r} was made by another program; choose another --study-name"
            )
        study.set_user_attr(STUDY, record.to_json())
        # as study.set_metric_names, but without its warning, so that plots name the objective
        objective = record.config.objective
        storage.set_study_system_attr(study._study_id, "study:metric_names", [objective])
    stored = StudyRecord.of(study)
    changes, hard = acceptable(stored, record), prohibitive(stored, record)
    if hard or (changes and not accept_changes):
        cure = f"Start a new study with --study-name {name}-2, or go back to the old settings"
        raise StudyError(
            [f"study {name!r} cannot be continued, it would not be one experiment:"]
            + [f"  {difference}" for difference in (*changes, *hard)]
            + [f"{cure}." if hard else f"{cure}, or go on all the same with --accept-changes."]
        )
    if changes:
        stored = _changed(stored, record, changes, len(study.get_trials(deepcopy=False)))
    stored = _updated_record(study, stored, record)
    _queue_first(study, stored)
    return study, stored


def _queue_first(study: Study, record: StudyRecord) -> None:
    """Queue trial 0, which has the defaults, and the warm starts, unless they exist already.

    A second call therefore completes the queue of a killed launcher, and warm starts can be added
    later. After a change of data all of them start again; after a change of constraints, those that
    broke the old ones. The launcher queues again what a change finds WAITING, so that is there.
    """
    config = record.config
    there = [
        trial.system_attrs.get("fixed_params", trial.params)
        for trial in study.get_trials(deepcopy=False)
        if not trial.state.is_finished() or trial.number >= _comparable_since(record, trial)
    ]
    space, base = SearchSpace(config), config.train_config
    starts = [
        {name: config.typed(name, value) for name, value in s.items()} for s in config.warm_starts
    ]
    for start in ({}, *starts):
        params = space.params(base.replace(**start))
        if params not in there:
            study.enqueue_trial(params)
            there.append(params)


def _comparable_since(record: StudyRecord, trial: FrozenTrial) -> int:
    """Return the number of the first trial whose result would be the same if rerun today.

    Earlier trials with this trial's kind of outcome ran on other data or, if they were infeasible,
    under other constraints.
    """
    outcome = Outcome.of(trial)
    if outcome is not None and outcome.cause == "infeasible":
        return max(record.comparable_from, record.constrained_from)
    return record.comparable_from


def _updated_record(study: Study, stored: StudyRecord, now: StudyRecord) -> StudyRecord:
    """Store and return the record with today's changeable settings, warm starts, tags and text.

    Like the sampler, warm starts only direct the search, so new ones may be added; none is removed.
    """
    old = stored.config.warm_starts
    changes = {
        **{name: getattr(now.config, name) for name in CHANGEABLE},
        "n_trials": now.config.n_trials,
        "warm_starts": (*old, *(start for start in now.config.warm_starts if start not in old)),
        "tags": {**stored.config.tags, **now.config.tags},
        "description": now.config.description or stored.config.description,
    }
    brought = replace(stored, config=stored.config.model_copy(update=changes))
    if brought != StudyRecord.of(study):
        study.set_user_attr(STUDY, brought.to_json())
    return brought


def store_infeasible(study: Study, record: StudyRecord, infeasible: tuple[int, ...]) -> StudyRecord:
    """Store and return the record with these trials as the ones that break its constraints.

    Args:
        study: the study.
        record: the study's record.
        infeasible: numbers of COMPLETE trials that break constraints.
    """
    if infeasible != record.infeasible:
        record = replace(record, infeasible=infeasible)
        study.set_user_attr(STUDY, record.to_json())
    return record


def _changed(
    stored: StudyRecord, now: StudyRecord, changes: list[str], n_trials: int
) -> StudyRecord:
    """Return the record with the accepted changes, which apply from trial `n_trials` on."""
    parts = ("data", "split", "seed", "space", "constraints")
    taken = {name: getattr(now.config, name) for name in parts}
    other_data = stored.split_fingerprint != now.split_fingerprint
    note = {
        "trial": n_trials, "other_data": other_data, "what": changes,
        "infeasible": list(stored.infeasible),
    }  # fmt: skip
    return replace(
        now,
        uid=stored.uid,
        config=stored.config.model_copy(update=taken),
        changes=(*stored.changes, note),
    )


def study_lines(storage: RDBStorage, names: Sequence[str]) -> list[str]:
    """Return a line on each study: its name, trials, best value, and when it began.

    Args:
        storage: the storage of the studies.
        names: names of studies made by hpo, in the order of the lines; beyond ten, only counted.
    """
    shown = [_cells(storage, name) for name in names[:SHOWN_STUDIES]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
        for cells in shown
    ]
    if len(names) > SHOWN_STUDIES:
        lines.append(f"  and {len(names) - SHOWN_STUDIES} older")
    return [line.rstrip() for line in lines]


def _cells(storage: RDBStorage, name: str) -> tuple[str, str, str, str]:
    """Return a study's name, number of trials, best value and start, in words."""
    study = optuna.load_study(study_name=name, storage=storage)
    record, trials = StudyRecord.of(study), study.get_trials(deepcopy=False)
    started = [trial.datetime_start for trial in trials if trial.datetime_start]
    best = best_complete(comparable(record, trials))
    value = f"best {record.config.objective} {best.value:.4f}" if best else "no complete trial"
    began = f"began {min(started):%Y-%m-%d %H:%M}" if started else "not begun"
    return name, count(len(started), "trial"), value, began
