"""The contents of a study's artifacts: from this machine if they are there, else from the store."""

from __future__ import annotations

import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import BaseStorage

from hpo.config import Locations
from hpo.errors import ArtifactStoreError
from hpo.study.files.artifact_store import ArtifactStore, StoredFile, is_file_of
from hpo.study.files.artifacts import StoredArtifact, artifact_folder


class ArtifactContents:
    """The contents of a study's artifacts, from the folder beside the storage or from the store.

    A store that did not answer once is not asked again.

    Args:
        locations: addresses of the storage and of the artifact store.
        uid: uid of the study.
    """

    def __init__(self, locations: Locations, uid: str) -> None:
        self._folder, self._uid = artifact_folder(locations.storage), uid
        self._url, self._answers = locations.artifacts, True

    def copy(self, file: StoredArtifact, target: Path) -> bool:
        """Write the content to `target`; return False if it is neither here nor in the store.

        An id does not depend on the content: a report made on another machine, or a report that was
        killed, may have left another file under the same id.

        Args:
            file: an artifact of the study.
            target: path of the copy.
        """
        path = self._folder / file.artifact_id
        if is_file_of(path, file.sha256):
            shutil.copyfile(path, target)
            return True
        if self._store is None or not self._answers:
            return False
        try:
            self._store.read(self._uid, StoredFile(file.name, file.sha256), target)
        except ArtifactStoreError as error:  # the caller names what is missing
            self._answers = isinstance(error.__cause__, FileNotFoundError)
            return False
        return True

    @cached_property
    def _store(self) -> ArtifactStore | None:
        """Return the store, connected only if it is needed."""
        return ArtifactStore.at(self._url)


class DashboardFiles(FileSystemArtifactStore):
    """The artifacts of all studies as optuna-dashboard reads them; those of users stay here.

    Args:
        locations: addresses of the storage and of the artifact store.
        storage: the open storage.
    """

    def __init__(self, locations: Locations, storage: BaseStorage) -> None:
        super().__init__(artifact_folder(locations.storage))
        self._locations, self._storage = locations, storage

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Return the content of an artifact."""
        file = self._kept(artifact_id) if self._locations.artifacts else None
        if file is None:
            return super().open_reader(artifact_id)
        contents = ArtifactContents(self._locations, artifact_id.rpartition("-")[0])
        with tempfile.TemporaryDirectory(prefix="hpo-") as draft:
            path = Path(draft) / file.name
            if not contents.copy(file, path):
                raise ArtifactNotFound(f"{file.name} is neither here nor in the artifact store")
            result = tempfile.TemporaryFile()  # noqa: SIM115  (whoever reads it closes it)
            with path.open("rb") as content:
                shutil.copyfileobj(content, result)
        result.seek(0)
        return cast("BinaryIO", result)

    def _kept(self, artifact_id: str) -> StoredArtifact | None:
        """Return the artifact of that id if a study of hpo has it."""
        for study in self._storage.get_all_studies():
            for key, text in study.system_attrs.items():
                if key.endswith(f":{artifact_id}"):
                    file = StoredArtifact.from_attribute(text, artifact_id)
                    if file is not None:
                        return file
        return None
