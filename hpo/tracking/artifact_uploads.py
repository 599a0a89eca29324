"""Uploads of a study's artifacts to its runs in MLflow, after all other writes of a sync.

A missing artifact stops no other write.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.study import KeptFile
from hpo.tracking.run_content import Content
from hpo.tracking.run_state import FILES, Held
from hpo.tracking.runs import Calls
from recsys.artifacts import sha256

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Uploads:
    """The artifact uploads of one sync. MLflow's exceptions pass through.

    Args:
        client: client of MLflow.
        store: folder of the artifacts, named by their ids.
        look: True: ask MLflow which artifacts it still has; False: trust its tags.

    Attributes:
        sent: number of files uploaded.
        absent: paths of artifacts that MLflow lacks and that `store` does not have with the
            recorded content, perhaps because they were made on another machine. Their run is left
            as it is.
    """

    def __init__(self, client: Calls, store: Path, *, look: bool) -> None:
        self._client, self._store, self._look = client, store, look
        self.sent = 0
        self.absent: list[str] = []

    def bring_up(self, held: Mapping[int | None, Held], contents: Sequence[Content]) -> None:
        """Upload the artifacts that the runs of these contents lack.

        Args:
            held: run by trial number (None: the study itself).
            contents: contents that have files.
        """
        for content in contents:
            run, digest = held[content.trial], content.files_digest()
            if digest is None or (run.files == digest and self._are_there(run, content)):
                continue
            if lost := [file.path for file in content.files if not self._has(file)]:
                self.absent += lost
            else:
                self._send(run, content, digest)

    def _are_there(self, run: Held, content: Content) -> bool:
        return not self._look or not lost_files(self._client, run.run_id, content)

    def _has(self, file: KeptFile) -> bool:
        """Return True if the store has this file with the recorded content.

        An id does not depend on the content: a report made on another machine, or a report that was
        killed, may have left another file under the same id.
        """
        path = self._store / file.artifact_id
        return path.is_file() and sha256(path) == file.sha256

    def _send(self, run: Held, content: Content, digest: str) -> None:
        """Upload the files of a content, and then their digest.

        The digest goes last, so that an interrupted upload is repeated.
        """
        with tempfile.TemporaryDirectory(prefix="hpo-") as draft:
            for file in content.files:
                named = Path(draft) / file.name  # MLflow names an artifact like its file
                shutil.copyfile(self._store / file.artifact_id, named)
                self._client.log_artifact(run.run_id, str(named), file.folder)
                named.unlink()  # models are large, so one copy at a time
        self._client.set_tag(run.run_id, FILES, digest)
        run.files = digest
        self.sent += len(content.files)


def lost_files(client: Calls | MlflowClient, run_id: str, content: Content) -> list[str]:
    """Return the paths of the artifacts that a run lacks.

    The content of files is not compared, since that would mean fetching all of them.

    Args:
        client: client of MLflow.
        run_id: id of the run.
        content: the content that the run should hold.
    """
    folders = {file.folder for file in content.files}
    there = {entry.path for folder in folders for entry in client.list_artifacts(run_id, folder)}
    return [file.path for file in content.files if file.path not in there]
