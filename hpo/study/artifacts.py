"""Files that a study keeps: its report and the model of its best trial, as Optuna's artifacts.

They are files named by id in one folder beside the storage, and an attribute of the study for each:
optuna-dashboard lists those, `hpo.sync` copies the files into MLflow. A finished trial takes no
attribute any more, so those of its model are the study's too, under the names by which
optuna-dashboard shows them on the trial's own page.

`optuna.artifacts.upload_artifact` writes the attribute first, so that a kill leaves one without a
file. Here the file comes first, and what has no attribute goes with the next call of `keep`.
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
from typing import Any, NamedTuple

from optuna import Study
from optuna.artifacts import FileSystemArtifactStore
from optuna.exceptions import StorageInternalError

from hpo.errors import StudyError
from hpo.study.lifecycle import load_study
from hpo.study.locks import exclusive
from hpo.study.records import StudyRecord
from hpo.study.storage import beside, existing_storage
from recsys.artifacts import sha256

FOLDER = "optuna-artifacts"  # `artifacts` is MLflow's
REPORT = "report"  # folder of the report's files in MLflow
OF_STUDY, OF_TRIAL = "artifacts", "dashboard:artifacts"  # how the attributes' names begin
UNKNOWN_TYPE = "application/octet-stream"


class KeptFile(NamedTuple):
    """One artifact. `trial`: number of the trial whose model it is part of; None: the report's."""

    name: str
    artifact_id: str
    sha256: str
    trial: int | None

    @property
    def folder(self) -> str | None:
        """Where it lies in its run in MLflow; None: at the top."""
        return REPORT if self.trial is None else None

    @property
    def path(self) -> str:
        """Its place in its run, with the folder."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @classmethod
    def of(cls, uid: str, trial: int | None, path: Path) -> KeptFile:
        """A file to be kept of a study. The same name of the same trial has the same id for good.

        So a newer file takes an older one's place. The other way, to empty the attribute (Optuna's
        storages remove none), makes `optuna.artifacts.get_all_artifact_meta` fail.
        """
        place = hashlib.sha256(f"{trial}/{path.name}".encode()).hexdigest()[:16]
        return cls(path.name, f"{uid}-{place}", sha256(path), trial)


def artifact_folder(storage: str) -> Path:
    """Where the artifacts of a storage's studies lie."""
    return beside(storage) / FOLDER


def artifact_store(storage: str) -> FileSystemArtifactStore:
    """The same for Optuna and optuna-dashboard."""
    return FileSystemArtifactStore(artifact_folder(storage))


def kept_files(study: Study, uid: str) -> dict[int | None, list[KeptFile]]:
    """Trial number (None: the study itself) to its artifacts, by name; people's own left out.

    Args:
        uid: of the study, see `StudyRecord`.
    """
    found = defaultdict(list)
    for file in sorted(_by_key(study, uid).values(), key=lambda file: file.name):
        found[file.trial].append(file)
    return dict(found)


def keep(
    storage: str,
    study_name: str,
    report: Mapping[str, bytes],
    trial: int,
    save: Callable[[Path], None] | None,
) -> None:
    """Make these the study's artifacts, and no others. May be killed at any point and called again.

    Args:
        report: file name to content.
        trial: number of the best trial.
        save: writes its model into a folder; None: there is none to keep. One that an earlier call
            kept of this very trial then stays.

    Raises:
        StudyError: there is no such study, or storage or folder cannot be written.
        CheckpointError: the model cannot be written.
    """
    folder = artifact_folder(storage)
    try:
        study = load_study(existing_storage(storage), study_name)
        # The lock of those who read artifacts: a sync is short, so nobody need be told.
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
    uid = StudyRecord.of(study).uid
    draft = folder / f".{uid}"
    shutil.rmtree(draft, ignore_errors=True)  # of a call that was killed
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
) -> Iterator[tuple[Path, KeptFile]]:
    """All files, written where nobody looks but on the file system where they will be."""
    model = draft / "model"
    model.mkdir(parents=True)
    for name, content in report.items():
        (draft / name).write_bytes(content)
    if save:
        save(model)
    for name in report:
        yield draft / name, KeptFile.of(uid, None, draft / name)
    for path in sorted(model.iterdir()):
        yield path, KeptFile.of(uid, trial, path)


def _by_key(study: Study, uid: str) -> dict[str, KeptFile]:
    """Name of the attribute to what it says; emptied ones are left out."""
    ours = re.compile(rf"(?:{OF_STUDY}|{OF_TRIAL}:(\d+)):({uid}-[0-9a-f]+)")
    storage, found = study._storage, {}
    for key, text in storage.get_study_system_attrs(study._study_id).items():
        match = ours.fullmatch(key)
        values: dict[str, Any] | None = json.loads(text) if match else None
        if match and values is not None:
            trial = storage.get_trial_number_from_id(int(match[1])) if match[1] else None
            found[key] = KeptFile(values["filename"], match[2], values["sha256"], trial)
    return found


def _key(study: Study, file: KeptFile) -> str:
    if file.trial is None:
        return f"{OF_STUDY}:{file.artifact_id}"
    trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, file.trial)
    return f"{OF_TRIAL}:{trial_id}:{file.artifact_id}"


def _set(study: Study, key: str, file: KeptFile | None) -> None:
    """Write an attribute as Optuna does, with the sha256 besides; None empties it."""
    values: dict[str, str | None] | None = None
    if file:
        kind, encoding = mimetypes.guess_type(file.name)
        values = {"artifact_id": file.artifact_id, "filename": file.name, "sha256": file.sha256}
        values |= {"mimetype": kind or UNKNOWN_TYPE, "encoding": encoding}
    study._storage.set_study_system_attr(study._study_id, key, json.dumps(values))


def _place(path: Path, target: Path) -> None:
    path.replace(target)


def _sweep(folder: Path, uid: str, live: Collection[str]) -> None:
    """Remove the study's files that no attribute names."""
    for path in sorted(folder.glob(f"{uid}-*")):
        if path.name not in live:
            path.unlink()
