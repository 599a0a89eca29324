"""Opening studies: made once, continued only if it is the same one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

import optuna
from optuna import Study
from optuna.pruners import NopPruner
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from hpo.config.error_text import given
from hpo.config.locations import Locations
from hpo.config.next_commands import command
from hpo.config.parameter import Parameter
from hpo.config.search_space import SearchSpace
from hpo.config.study_config import plain
from hpo.errors import StudyError
from hpo.study.overview import study_lines
from hpo.study.records import STUDY, Outcome, StudyRecord
from recsys.messages import count


def acceptable(stored: StudyRecord, now: StudyRecord) -> list[str]:
    """Differences under which a study may go on if its owner says so."""
    found = []
    if stored.split_fingerprint != now.split_fingerprint:
        found.append(f"data or split: was {_size(stored)}, is {_size(now)}")
    if stored.config.seed != now.config.seed:
        found.append(f"seed: was {stored.config.seed}, is {now.config.seed}")
    space = _changes("space", stored, now)
    found += [text for name, text in space.items() if not _other_kind(name, stored, now)]
    return [*found, *_changes("constraints", stored, now).values()]


def _changes(part: str, stored: StudyRecord, now: StudyRecord) -> dict[str, str]:
    """What differs in a section, by key."""
    before, after = (dict(getattr(record.config, part)) for record in (stored, now))
    return {
        name: f"{part}.{name}: was {_shown(before.get(name))}, is {_shown(after.get(name))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }


def _other_kind(name: str, stored: StudyRecord, now: StudyRecord) -> bool:
    """Whether a parameter changed its choices or its scale, which Optuna refuses in one study."""
    before, after = stored.config.space.get(name), now.config.space.get(name)
    if before is None or after is None or before == after:
        return False
    return before.choices is not None or after.choices is not None or before.log != after.log


def prohibitive(stored: StudyRecord, now: StudyRecord) -> list[str]:
    """Differences that make it another experiment, whatever its owner says."""
    space = _changes("space", stored, now)
    found = [text for name, text in space.items() if _other_kind(name, stored, now)]
    if (before := stored.config.objective) != (after := now.config.objective):
        found.append(f"objective: was {before}, is {after}")
    for side in ("item", "user"):
        before, after = (getattr(r.config.data, f"{side}_features") for r in (stored, now))
        if before != after:
            names = [", ".join(columns) or "none" for columns in (before, after)]
            found.append(f"{side} features: was {names[0]}, is {names[1]}")
    return [*found, *_changes("base", stored, now).values()]


def _shown(value: object) -> str:
    """As in a study file, with everything that may differ, log and conditions too."""
    if value is None:
        return "absent"
    return given(value.model_dump(exclude_defaults=True) if isinstance(value, Parameter) else value)


def _size(record: StudyRecord) -> str:
    """How much data there is and how it is split; the fingerprint tells it from all others."""
    n = record.counts
    return (
        f"{count(n['n_users'], 'user')}, {count(n['n_items'], 'item')}, {n['n_train']:,} train, "
        f"{n['n_validation']:,} validation and {count(n['n_test'], 'test row')} "
        f"(fingerprint {record.split_fingerprint})"
    )


CHANGEABLE = (  # they say how to search and what to do with it, not what is compared
    "sampler",
    "pruner",
    "promotion",
    "retries",
    "workers",
    "threads",
    "device_slots",
    "timeout",
    "trial_seconds",
)


def load_study(storage: RDBStorage, name: str | None) -> Study:
    """Return the study `name`, or the only one that hpo made.

    For commands that change something or train: a guess among several could be the wrong one.

    Raises:
        StudyError: there is no such study, or there are several and none is named; the message
            lists those there are.
    """
    names = _names(storage, name)
    if name is None and len(names) > 1:
        raise StudyError(
            [
                f"{len(names)} studies here; say which one with --study-name NAME:",
                *study_lines(storage, names[::-1]),
            ]
        )
    return optuna.load_study(study_name=name or names[-1], storage=storage)


def load_newest(storage: RDBStorage, name: str | None, say: Callable[[str], None]) -> Study:
    """Return the study `name`, or the newest one that hpo made: for commands that only read.

    Args:
        storage: holds the studies.
        name: None: the newest.
        say: is told which one was taken, if there are others and none is named.

    Raises:
        StudyError: there is no such study; the message lists those there are.
    """
    names = _names(storage, name)
    if name is None and len(names) > 1:
        say(f"study {names[-1]}, the newest of {len(names)}; choose another with --study-name NAME")
    return optuna.load_study(study_name=name or names[-1], storage=storage)


def _names(storage: RDBStorage, name: str | None) -> list[str]:
    """Return the names of the studies, `name` among them if it is not None."""
    names = hpo_studies(storage)
    if not names:
        start = command("run", locations=Locations(storage.url), more={"--n-trials": "50"})
        raise StudyError(f"no study here yet; start one with: {start}")
    if name is not None and name not in names:
        raise StudyError(f"no study {name!r} here; there are: {', '.join(names)}")
    return names


def stored_record(storage: RDBStorage, name: str) -> StudyRecord | None:
    """Return the record of the study `name`, or None if hpo made none of that name."""
    return StudyRecord.of(load_study(storage, name)) if name in hpo_studies(storage) else None


def hpo_studies(storage: RDBStorage) -> list[str]:
    """Names of the studies made by hpo, oldest first."""
    # not optuna.get_all_study_summaries: it reads every trial, 2 s at 1,000 of them
    ours = [study for study in storage.get_all_studies() if STUDY in study.user_attrs]
    return [study.study_name for study in sorted(ours, key=lambda study: study._study_id)]


def open_study(
    storage: RDBStorage, name: str, record: StudyRecord, *, accept_changes: bool = False
) -> tuple[Study, StudyRecord]:
    """Make the study, or continue it if it is the same one.

    Args:
        record: what the study would be if it were made now.
        accept_changes: go on with other data, another split, seed or ranges; the study keeps a
            note of what changed, and from which trial on.

    Returns:
        The study and its stored record: the uid and all else of the first time.

    Raises:
        StudyError: a study of that name differs in objective, data, split, space, defaults or
            constraints, or was not made by hpo.
    """
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=NopPruner(),  # the launcher prunes, see hpo/pruning.py; None would mean median
    )
    if STUDY not in study.user_attrs:
        if study.get_trials(deepcopy=False) or study.directions != [StudyDirection.MAXIMIZE]:
            raise StudyError(
                f"study {name!r} was made by another program; choose another --study-name"
            )
        study.set_user_attr(STUDY, record.to_json())
        # what study.set_metric_names does, without its warning: plots name what they show
        objective = record.config.objective
        storage.set_study_system_attr(study._study_id, "study:metric_names", [objective])
    stored = StudyRecord.of(study)
    changes, hard = acceptable(stored, record), prohibitive(stored, record)
    if hard or (changes and not accept_changes):
        cure = "Start a new study with --study-name NEW, or go back to the old settings"
        raise StudyError(
            [f"study {name!r} cannot be continued, it would not be one experiment:"]
            + [f"  {difference}" for difference in (*changes, *hard)]
            + [f"{cure}." if hard else f"{cure}, or go on all the same with --accept-changes."]
        )
    if changes:
        stored = _changed(stored, record, changes, len(study.get_trials(deepcopy=False)))
    stored = _brought_up_to_date(study, stored, record)
    _queue_first(study, stored)
    return study, stored


def _queue_first(study: Study, record: StudyRecord) -> None:
    """Queue trial 0, which is the defaults, and the warm starts; none that was there before.

    So a launcher killed amid this loses none, and warm starts can be added later. On other data
    all start again; under other constraints, those that broke the old ones.
    """
    config = record.config
    there = [
        trial.system_attrs.get("fixed_params", trial.params)
        for trial in study.get_trials(deepcopy=False)
        if not trial.state.is_finished() or trial.number >= _told_since(record, trial)
    ]
    space, base = SearchSpace(config), config.train_config
    starts = [{name: plain(name, value) for name, value in s.items()} for s in config.warm_starts]
    for start in ({}, *starts):
        params = space.params(base.replace(**start))
        if params not in there:
            study.enqueue_trial(params)
            there.append(params)


def _told_since(record: StudyRecord, trial: FrozenTrial) -> int:
    """The first trial that says of its config what this one would say if it were run again."""
    outcome = Outcome.of(trial)
    if outcome is not None and outcome.cause == "infeasible":
        return max(record.comparable_from, record.constrained_from)
    return record.comparable_from


def _brought_up_to_date(study: Study, stored: StudyRecord, now: StudyRecord) -> StudyRecord:
    """The stored record with what may change: how many trials, how to search, the gate, tags, text.

    Warm starts only tell the search where to look, as the sampler does; none is taken back.
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


def leave_out(study: Study, record: StudyRecord, infeasible: tuple[int, ...]) -> StudyRecord:
    """The record in which these trials, and no others, break constraints that came later."""
    if infeasible != record.infeasible:
        record = replace(record, infeasible=infeasible)
        study.set_user_attr(STUDY, record.to_json())
    return record


def _changed(
    stored: StudyRecord, now: StudyRecord, changes: list[str], n_trials: int
) -> StudyRecord:
    """The record from trial `n_trials` on, with the changes noted."""
    parts = ("data", "split", "seed", "space", "constraints")
    taken = {name: getattr(now.config, name) for name in parts}
    other_data = stored.split_fingerprint != now.split_fingerprint
    note = {"trial": n_trials, "other_data": other_data, "what": changes}
    return replace(
        now,
        uid=stored.uid,
        config=stored.config.model_copy(update=taken),
        changes=(*stored.changes, note),
    )


def new_uid() -> str:
    return str(uuid.uuid4())
