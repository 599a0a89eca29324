"""Sending of a study's files to its artifact store, and fetching of what other machines sent.

The folder beside the storage has each file first, so a store that is out of reach loses nothing:
the next call sends what is missing. The study's attributes name the files, with their hashes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from optuna import Study
from optuna.trial import TrialState

from hpo.config import Locations, command
from hpo.errors import ArtifactStoreError
from hpo.study.files.artifact_store import ArtifactStore, StoredFile, is_file_of
from hpo.study.files.artifacts import artifact_folder, stored_artifacts
from hpo.study.locks import LockHeld, exclusive, exclusive_within
from hpo.study.records import EPOCHS, SNAPSHOTS, StudyRecord
from hpo.study.storage import parking_place, snapshot_file
from recsys.artifacts import sha256
from recsys.messages import count, listed


def fetch_snapshots(
    locations: Locations, study: Study, record: StudyRecord, say: Callable[[str], None]
) -> None:
    """Fetch the snapshots of parked trials that this machine lacks; the caller owns the study.

    Args:
        locations: addresses of the storage and of the artifact store.
        study: the study.
        record: record of the study.
        say: called with a line for each snapshot that cannot be fetched.

    Raises:
        SettingsError: the store's driver is missing.
    """
    store = ArtifactStore.at(locations.artifacts)
    if store is None:
        return
    known, folder = _recorded(study), parking_place(locations.storage, record)
    for number in _parked(study):
        path, digest = snapshot_file(folder, number), known.get(number)
        if digest is None or is_file_of(path, digest):
            continue
        try:
            store.read(record.uid, StoredFile(path.name, digest), path)
        except ArtifactStoreError as error:
            say(f"the snapshot of trial {number} cannot be fetched from {error}")


def record_snapshots(locations: Locations, study: Study, record: StudyRecord) -> None:
    """Store the hashes of the snapshots of all parked trials; the caller owns the study.

    Args:
        locations: addresses of the storage and of the artifact store; nothing is done without one.
        study: the study.
        record: record of the study.
    """
    if locations.artifacts is None:
        return
    known, folder = _recorded(study), parking_place(locations.storage, record)
    paths = {number: snapshot_file(folder, number) for number in _parked(study)}
    found = {n: sha256(path) if path.exists() else known.get(n) for n, path in paths.items()}
    kept = {n: digest for n, digest in found.items() if digest is not None}
    if kept != known:
        study._storage.set_study_system_attr(study._study_id, SNAPSHOTS, list(kept.items()))


def send_files(locations: Locations, study: Study, seconds: float = math.inf) -> str:
    """Send what the artifact store lacks of the study's files, and remove what is no longer wanted.

    Nothing is sent twice.

    Args:
        locations: addresses of the storage and of the artifact store.
        study: the study.
        seconds: longest wait for another sync of the study.

    Returns:
        "" if all files are there, or without a store; else one or two lines on what is missing and
        how to send it.
    """
    store = ArtifactStore.at(locations.artifacts)
    if store is None:
        return ""
    again = command("sync", study.study_name, locations)
    try:
        with _in_turn(locations.storage, study.study_name, seconds):
            lost = _sent(store, locations, study)
    except ArtifactStoreError as error:
        return f"the artifact store is incomplete: {error}\n  {again}"
    if not lost:
        return ""
    return (
        f"the artifact store {store.url} lacks {listed(lost)}, and so does this machine; run "
        f"{again} on the machine that has {count(len(lost), 'file')}, or make the report again"
    )


@contextmanager
def _in_turn(storage: str, name: str, seconds: float) -> Iterator[None]:
    """Hold the study's sync lock, waiting up to `seconds` for another sync.

    Raises:
        ArtifactStoreError: the other sync does not end in that time.
    """
    with ExitStack() as stack:
        try:
            if seconds == math.inf:  # waits through an outage of PostgreSQL, too
                lock = exclusive(storage, name, role="sync", on_wait=lambda _: None)
            else:
                lock = exclusive_within(storage, name, seconds, role="sync")
            stack.enter_context(lock)
        except LockHeld as error:
            raise ArtifactStoreError("a sync is still running") from error
        yield


def remove_sent(locations: Locations, uid: str) -> None:
    """Remove all files of a study from its artifact store, if there is one.

    Args:
        locations: address of the artifact store.
        uid: uid of the study.

    Raises:
        ArtifactStoreError: the store does not answer.
    """
    if store := ArtifactStore.at(locations.artifacts):
        try:
            store.remove(uid, store.keys(uid))
        except ArtifactStoreError as error:
            raise ArtifactStoreError(
                f"{error}; the study is kept: make the store answer, then run hpo delete again"
            ) from error


class _Wanted(NamedTuple):
    """A file that the store should have, and its path here."""

    file: StoredFile
    path: Path


def _sent(store: ArtifactStore, locations: Locations, study: Study) -> list[str]:
    """Make the store equal to the study; return the names of files that are nowhere.

    What is there is read before the attributes: a file that another machine sends meanwhile has its
    attribute first, so it is never taken for one that is no longer wanted.
    """
    record = StudyRecord.of(study)
    there = store.keys(record.uid)
    wanted = _wanted(locations, study, record)
    lost = []
    for file, path in wanted:
        if file.key in there:
            continue
        if is_file_of(path, file.sha256):
            store.write(record.uid, file, path)
        else:
            lost.append(file.name)
    store.remove(record.uid, there - {file.key for file, _ in wanted})
    return sorted(lost)


def _wanted(locations: Locations, study: Study, record: StudyRecord) -> list[_Wanted]:
    """Return the artifacts of the study, and the snapshots of its parked trials."""
    kept, parked = artifact_folder(locations.storage), parking_place(locations.storage, record)
    wanted = [
        _Wanted(StoredFile(file.name, file.sha256), kept / file.artifact_id)
        for files in stored_artifacts(study, record.uid).values()
        for file in files
    ]
    waiting = _parked(study)
    for number, digest in _recorded(study).items():
        if number in waiting:
            path = snapshot_file(parked, number)
            wanted.append(_Wanted(StoredFile(path.name, digest), path))
    return wanted


def _parked(study: Study) -> Collection[int]:
    """Return the numbers of the trials that were parked."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return [trial.number for trial in waiting if trial.user_attrs.get(EPOCHS)]


def _recorded(study: Study) -> dict[int, str]:
    """Return the recorded hash of the snapshot of each parked trial."""
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return {int(number): digest for number, digest in attrs.get(SNAPSHOTS, [])}
