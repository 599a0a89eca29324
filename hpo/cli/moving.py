"""Moving of a study from one storage to another, so that it goes on there bit for bit.

At any moment one copy at most may go on. The new copy is no study of hpo until its record is
written, which is the last step; the old one is marked just before. So a call that was killed leaves
either the old study as it was, or two copies that refuse to go on, and the same call completes it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna import Study
from optuna.storages import RDBStorage

from hpo.cli.overview import files_of
from hpo.cli.ownership import sole_owner
from hpo.config import Locations
from hpo.errors import SettingsError, StudyError
from hpo.study import (
    MOVED,
    STUDY,
    Moved,
    StudyRecord,
    artifact_folder,
    existing_storage,
    folder_of_storage,
    load_named,
    open_storage,
    sqlite_path,
)
from recsys.drafts import replacing
from recsys.passwords import without_password

COPIED_FROM = "hpo:copied-from"  # uid and URL, a system attribute of the new copy
OF_A_TRIAL = re.compile(r"dashboard:(?:artifacts:)?(\d+):")  # beginning of an attribute's name
ARTIFACT = re.compile(r"(?:dashboard:)?artifacts:(?:\d+:)?([^/\\]+)")  # with the artifact's id


class MovedStudy(NamedTuple):
    """The outcome of `move_study`.

    Attributes:
        name: name of the study.
        n_trials: number of its trials, in any state.
        n_files: number of files that were copied.
    """

    name: str
    n_trials: int
    n_files: int


def move_study(source: str, target: str, name: str | None) -> MovedStudy:
    """Move a study to another storage; a killed call is completed by the next one.

    Args:
        source: URL of the storage that has it.
        target: URL of the storage that is to have it.
        name: name of the study; None: the only one.

    Raises:
        StudyError: there is no such study, a launcher owns it, it went elsewhere, the target has
            another study of that name, or a file cannot be copied.
        SettingsError: a storage cannot be opened, or both are the same.
    """
    if _place(source) == _place(target):
        raise SettingsError(
            f"--from and --to are the same storage, {without_password(source)}; give two"
        )
    old = load_named(existing_storage(source), name, moved=True)
    name, record = old.study_name, StudyRecord.of(old)
    mark = Moved(without_password(target), str(folder_of_storage(target).resolve()))
    there = Moved.of(old)
    if there is not None and there.to != mark.to:
        raise StudyError(
            f"study {name!r} was moved to {there.to} and goes on there: give that with --from"
        )
    with sole_owner(Locations(source), name, "moved"), sole_owner(Locations(target), name, "moved"):
        storage = open_storage(target)
        _make_room(storage, name, record.uid)
        new = optuna.create_study(storage=storage, study_name=name, directions=old.directions)
        about = {"uid": record.uid, "storage": without_password(source)}
        storage.set_study_system_attr(new._study_id, COPIED_FROM, about)
        n_trials = _copy_trials(old, storage, new._study_id)
        n_files = _copy_files(old, record, source, target)
        old._storage.set_study_system_attr(old._study_id, MOVED, asdict(mark))
        new.set_user_attr(STUDY, old.user_attrs[STUDY])
    return MovedStudy(name, n_trials, n_files)


def _place(url: str) -> str:
    """Return a storage's address in one spelling."""
    path = sqlite_path(url)
    return str(path.resolve()) if path else url


def take_back(source: str, name: str | None) -> str:
    """Remove the mark of a study that was moved away, so that it goes on here; return its name.

    Args:
        source: URL of the storage that has the old copy.
        name: name of the study; None: the only one.

    Raises:
        StudyError: there is no such study, or it was not moved.
    """
    study = load_named(existing_storage(source), name, moved=True)
    if Moved.of(study) is None:
        raise StudyError(f"study {study.study_name!r} was not moved, and goes on as it is")
    study._storage.set_study_system_attr(study._study_id, MOVED, None)
    return study.study_name


def _make_room(storage: RDBStorage, name: str, uid: str) -> None:
    """Delete what a killed call has left, or an old copy of this study that had been moved.

    Raises:
        StudyError: there is a study of that name that may go on, or is not of hpo.
    """
    if name not in {found.study_name for found in storage.get_all_studies()}:
        return
    study = optuna.load_study(study_name=name, storage=storage)
    attrs, where = study.user_attrs, without_password(str(storage.engine.url))
    if STUDY in attrs:
        is_ours = StudyRecord.of(study).uid == uid and Moved.of(study) is not None
    else:
        about = storage.get_study_system_attrs(study._study_id).get(COPIED_FROM, {})
        is_ours = about.get("uid") == uid
    if not is_ours:
        raise StudyError(
            f"{where} has a study {name!r} already, which is left as it is; delete that one, or "
            "move to another storage"
        )
    optuna.delete_study(study_name=name, storage=storage)


def _copy_trials(old: Study, storage: RDBStorage, study_id: int) -> int:
    """Copy all trials and attributes but the record; return the number of trials."""
    ids: dict[int, int] = {}
    trials = old.get_trials(deepcopy=False)
    for trial in trials:
        ids[trial._trial_id] = storage.create_new_trial(study_id, template_trial=trial)
    for key, value in _renumbered(_system_attrs(old), ids).items():
        storage.set_study_system_attr(study_id, key, value)
    for key, value in old.user_attrs.items():
        if key != STUDY:
            storage.set_study_user_attr(study_id, key, value)
    return len(trials)


def _system_attrs(study: Study) -> dict[str, Any]:
    """Return Optuna's and the dashboard's attributes of a study, without those of a move."""
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return {key: value for key, value in attrs.items() if key not in (MOVED, COPIED_FROM)}


def _renumbered(attrs: Mapping[str, Any], ids: Mapping[int, int]) -> dict[str, Any]:
    """Return attributes whose names have the new ids of the trials that they are about."""

    def new_key(key: str) -> str:
        match = OF_A_TRIAL.match(key)
        number = ids.get(int(match[1])) if match else None
        if match is None or number is None:
            return key
        return f"{key[: match.start(1)]}{number}{key[match.end(1) :]}"

    return {new_key(key): value for key, value in attrs.items()}


def _copy_files(old: Study, record: StudyRecord, source: str, target: str) -> int:
    """Copy report, artifacts and snapshots, unless both storages share a folder; return how many.

    Raises:
        StudyError: a file cannot be read or written.
    """
    here, there = (folder_of_storage(url) for url in (source, target))
    if here.resolve() == there.resolve():
        return 0
    places = files_of(record, old.study_name, Locations(source))
    files = {path for place in places for path in _files_in(place)}
    kept = artifact_folder(source)
    attrs = [_system_attrs(old), *(t.system_attrs for t in old.get_trials(deepcopy=False))]
    ids = [match[1] for each in attrs for key in each if (match := ARTIFACT.fullmatch(key))]
    files |= {kept / name for name in ids if (kept / name).is_file()}
    for path in sorted(files):
        # a folder in it may be a link to elsewhere, so paths stay as they are
        goal = there / path.relative_to(here if path.is_relative_to(here) else here.resolve())
        try:
            with replacing(goal) as draft:
                shutil.copy2(path, draft)  # with its time, which tells if a report is current
        except OSError as error:
            raise StudyError(
                f"{path}: cannot be copied to {goal}: {error.strerror}; the study is left as it "
                "was, fix that and move it again"
            ) from error
    return len(files)


def _files_in(place: Path) -> list[Path]:
    """Return the file, or the files of the folder, without drafts of killed writers."""
    if place.name.startswith("."):
        return []
    return [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]
