"""A study's artifacts on this machine, in Optuna's form: its report and its best trial's model.

An artifact is a file in one folder beside the storage, named by its id, and an attribute of the
study. optuna-dashboard lists the attributes, `hpo.sync` copies the files into MLflow. Optuna adds
no attribute to a finished trial, so the attributes of a model belong to the study too; their names
make optuna-dashboard show them on the trial's own page.

`optuna.artifacts.upload_artifact` writes the attribute first, so a kill leaves an attribute without
a file. This module writes the file first, and the next call of `replace_artifacts` removes files
without an attribute.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from optuna import Study
from optuna.exceptions import StorageInternalError

from hpo.errors import StudyError
from hpo.study.lifecycle import load_named
from hpo.study.locks import exclusive
from hpo.study.records import StudyRecord
from hpo.study.storage import existing_storage, folder_of_storage
from recsys.artifacts import sha256

FOLDER = "optuna-artifacts"  # the name `artifacts` is taken by MLflow
REPORT = "report"  # folder of the report's files in MLflow
OF_STUDY, OF_TRIAL = "artifacts", "dashboard:artifacts"  # prefixes of the attributes' names
UNKNOWN_TYPE = "application/octet-stream"


class StoredArtifact(NamedTuple):
    """One artifact of a study.

    Attributes:
        name: name of the file.
        artifact_id: Optuna's id, which is also the file's name in the folder of artifacts.
        sha256: hash of the content.
        trial: number of the trial if the file is part of its model; None: part of the report.
    """

    name: str
    artifact_id: str
    sha256: str
    trial: int | None

    @property
    def folder(self) -> str | None:
        """Return the folder of the file in its MLflow run; None: the top."""
        return REPORT if self.trial is None else None

    @property
    def path(self) -> str:
        """Return the path of the file in its MLflow run."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @classmethod
    def of(cls, uid: str, trial: int | None, path: Path) -> StoredArtifact:
        """Describe a file that is to become an artifact of a study.

        The id depends only on study, trial and file name, so a newer file replaces an older one.
        The alternative, a new id and an emptied attribute for the old one (Optuna's storages
        cannot remove attributes), makes `optuna.artifacts.get_all_artifact_meta` fail.

        Args:
            uid: uid of the study, see `StudyRecord`.
            trial: number of the trial if the file is part of its model; None: part of the report.
            path: the file.
        """
        place = hashlib.sha256(f"{trial}/{path.name}".encode()).hexdigest()[:16]
        return cls(path.name, f"{uid}-{place}", sha256(path), trial)

    @classmethod
    def from_attribute(cls, text: str, artifact_id: str) -> StoredArtifact | None:
        """Return the artifact that an attribute names, without its trial.

        Args:
            text: value of the attribute.
            artifact_id: id of the artifact, the end of the attribute's name.

        Returns:
            The artifact; None if the attribute is emptied, or the artifact is a user's own.
        """
        values = json.loads(text)
        if values is None or "sha256" not in values:
            return None
        return cls(values["filename"], artifact_id, values["sha256"], None)


def artifact_folder(storage: str) -> Path:
    """Return the folder with the artifacts of all studies of a storage."""
    return folder_of_storage(storage) / FOLDER


def stored_artifacts(study: Study, uid: str) -> dict[int | None, list[StoredArtifact]]:
    """Return the artifacts by trial number (None: the report), each list sorted by file name.

    Artifacts that users uploaded themselves are left out.

    Args:
        study: the study.
        uid: uid of the study, see `StudyRecord`.
    """
    found = defaultdict(list)
    for file in sorted(_by_key(study, uid).values(), key=lambda file: file.name):
        found[file.trial].append(file)
    return dict(found)


def replace_artifacts(
    storage: str,
    study_name: str,
    report: Mapping[str, bytes],
    trial: int,
    save: Callable[[Path], None] | None,
) -> None:
    """Replace the study's artifacts by these; a killed call is completed by the next one.

    Args:
        storage: URL of the Optuna storage.
        study_name: name of the study.
        report: content of each file of the report, by file name.
        trial: number of the best trial.
        save: writes the best trial's model into a folder; None: write no model, but keep the one
            that an earlier call wrote for the same trial.

    Raises:
        StudyError: there is no such study, or storage or folder cannot be written.
        CheckpointError: the model cannot be written.
    """
    folder = artifact_folder(storage)
    try:
        study = load_named(existing_storage(storage), study_name)
        # Readers of artifacts (sync) hold the same lock, only briefly: wait without a message.
        with exclusive(storage, study_name, role="sync", on_wait=lambda _: None):
            folder.mkdir(parents=True, exist_ok=True)
            _keep(study, folder, report, trial, save)
    except (OSError, StorageInternalError) as error:
        raise StudyError(f"artifacts cannot be kept in {folder}: {error}") from error


def _keep(
    study: Study,
    folder: Path,
    report: Mapping[str, bytes],
    trial: int,
    save: Callable[[Path], None] | None,
) -> None:
    """Write all files and attributes, then remove the artifacts that are no longer wanted."""
    uid = StudyRecord.of(study).uid
    draft = folder / f".{uid}"
    shutil.rmtree(draft, ignore_errors=True)  # left by a killed call
    written = set()
    for path, file in _drafted(draft, uid, report, trial, save):
        _place(path, folder / file.artifact_id)
        key = _key(study, file)
        _set(study, key, file)
        written.add(key)
    live = set(written)
    for key, file in _by_key(study, uid).items():
        if key in written or (save is None and file.trial == trial):
            live.add(key)
        else:
            _set(study, key, None)
    _sweep(folder, uid, {key.rpartition(":")[2] for key in live})
    shutil.rmtree(draft)


def _drafted(
    draft: Path,
    uid: str,
    report: Mapping[str, bytes],
    trial: int,
    save: Callable[[Path], None] | None,
) -> Iterator[tuple[Path, StoredArtifact]]:
    """Write all files into a hidden folder on the target's file system; yield each one's path."""
    model = draft / "model"
    model.mkdir(parents=True)
    for name, content in report.items():
        (draft / name).write_bytes(content)
    if save:
        save(model)
    for name in report:
        yield draft / name, StoredArtifact.of(uid, None, draft / name)
    for path in sorted(model.iterdir()):
        yield path, StoredArtifact.of(uid, trial, path)


def _by_key(study: Study, uid: str) -> dict[str, StoredArtifact]:
    """Return the artifacts by the name of their attribute, without emptied attributes."""
    ours = re.compile(rf"(?:{OF_STUDY}|{OF_TRIAL}:(\d+)):({uid}-[0-9a-f]+)")
    storage, found = study._storage, {}
    for key, text in storage.get_study_system_attrs(study._study_id).items():
        match = ours.fullmatch(key)
        if match and (file := StoredArtifact.from_attribute(text, match[2])):
            trial = storage.get_trial_number_from_id(int(match[1])) if match[1] else None
            found[key] = file._replace(trial=trial)
    return found


def _key(study: Study, file: StoredArtifact) -> str:
    """Return the name of an artifact's attribute."""
    if file.trial is None:
        return f"{OF_STUDY}:{file.artifact_id}"
    trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, file.trial)
    return f"{OF_TRIAL}:{trial_id}:{file.artifact_id}"


def _set(study: Study, key: str, file: StoredArtifact | None) -> None:
    """Write an attribute in Optuna's form plus the sha256; empty it if `file` is None."""
    values: dict[str, str | None] | None = None
    if file:
        kind, encoding = mimetypes.guess_type(file.name)
        values = {"artifact_id": file.artifact_id, "filename": file.name, "sha256": file.sha256}
        values |= {"mimetype": kind or UNKNOWN_TYPE, "encoding": encoding}
    study._storage.set_study_system_attr(study._study_id, key, json.dumps(values))


def _place(path: Path, target: Path) -> None:
    """Move a finished file to its final path."""
    path.replace(target)


def _sweep(folder: Path, uid: str, live: Collection[str]) -> None:
    """Remove the study's files that have no attribute."""
    for path in sorted(folder.glob(f"{uid}-*")):
        if path.name not in live:
            path.unlink()
