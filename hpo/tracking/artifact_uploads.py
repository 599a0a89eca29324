"""Uploads of a study's artifacts to its runs in MLflow, after all other writes of a sync.

A missing artifact stops no other write.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.study import ArtifactContents
from hpo.tracking.run_content import Content
from hpo.tracking.run_marks import FILES, RunState
from hpo.tracking.runs import CountingClient

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Uploads:
    """The artifact uploads of one sync. MLflow's exceptions pass through.

    Args:
        client: client of MLflow.
        contents: the study's artifacts.
        look: True: ask MLflow which artifacts it still has; False: trust its tags.

    Attributes:
        sent: number of files uploaded.
        absent: paths of artifacts that MLflow lacks and whose recorded content is not to be had,
            perhaps because they were made on another machine. Their run is left as it is.
    """

    def __init__(self, client: CountingClient, contents: ArtifactContents, *, look: bool) -> None:
        self._client, self._contents, self._look = client, contents, look
        self.sent = 0
        self.absent: list[str] = []

    def bring_up(self, held: Mapping[int | None, RunState], contents: Sequence[Content]) -> None:
        """Upload the artifacts that the runs of these contents lack.

        Args:
            held: run by trial number (None: the study itself).
            contents: contents that have files.
        """
        for content in contents:
            run, digest = held[content.trial], content.files_digest()
            if digest is None or (run.files == digest and self._are_there(run, content)):
                continue
            self._send(run, content, digest)

    def _are_there(self, run: RunState, content: Content) -> bool:
        return not self._look or not lost_files(self._client, run.run_id, content)

    def _send(self, run: RunState, content: Content, digest: str) -> None:
        """Upload the files of a content, and then their digest; nothing if one is not to be had.

        The digest goes last, so that an interrupted upload is repeated.
        """
        with tempfile.TemporaryDirectory(prefix="hpo-") as draft:
            named = {file: Path(draft) / str(n) / file.name for n, file in enumerate(content.files)}
            for path in named.values():  # MLflow names an artifact like its file
                path.parent.mkdir()
            lost = [f.path for f, path in named.items() if not self._contents.copy(f, path)]
            if lost:
                self.absent += lost
                return
            for file, path in named.items():
                self._client.log_artifact(run.run_id, str(path), file.folder)
        self._client.set_tag(run.run_id, FILES, digest)
        run.files = digest
        self.sent += len(content.files)


def lost_files(client: CountingClient | MlflowClient, run_id: str, content: Content) -> list[str]:
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
