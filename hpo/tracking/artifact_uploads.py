"""Artifacts of a study into its runs in MLflow, after all else and never in its way."""

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
    """What one sync does about artifacts. MLflow's exceptions pass through.

    Args:
        store: the folder where they lie under their ids.
        look: ask MLflow which it still has; else its tags are believed.

    Attributes:
        sent: how many files.
        absent: paths of those that MLflow lacks and that `store` does not have as they were kept:
            that may have been on another machine. Their run is left as it is.
    """

    def __init__(self, client: Calls, store: Path, *, look: bool) -> None:
        self._client, self._store, self._look = client, store, look
        self.sent = 0
        self.absent: list[str] = []

    def bring_up(self, held: Mapping[int | None, Held], contents: Sequence[Content]) -> None:
        """Give the runs of these contents the artifacts that they lack.

        Args:
            held: trial number (None: the study itself) to its run.
            contents: those with files.
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
        """Ids are not of contents: a report made elsewhere, or a killed one, leaves others here."""
        path = self._store / file.artifact_id
        return path.is_file() and sha256(path) == file.sha256

    def _send(self, run: Held, content: Content, digest: str) -> None:
        """The digest goes last, so that an upload that broke off is repeated."""
        with tempfile.TemporaryDirectory(prefix="hpo-") as draft:
            for file in content.files:
                named = Path(draft) / file.name  # MLflow takes a file's own name
                shutil.copyfile(self._store / file.artifact_id, named)
                self._client.log_artifact(run.run_id, str(named), file.folder)
                named.unlink()  # models are large: one of its files at a time
        self._client.set_tag(run.run_id, FILES, digest)
        run.files = digest
        self.sent += len(content.files)


def lost_files(client: Calls | MlflowClient, run_id: str, content: Content) -> list[str]:
    """Paths of artifacts; what is in them is not compared, that would mean to fetch all."""
    folders = {file.folder for file in content.files}
    there = {entry.path for folder in folders for entry in client.list_artifacts(run_id, folder)}
    return [file.path for file in content.files if file.path not in there]
