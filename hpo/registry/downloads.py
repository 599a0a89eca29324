"""Downloads of a version's files, which tell apart why they fail.

Either MLflow does not answer, or it no longer has a file, or there is no room for the file here.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.artifacts import tracking_errors
from recsys.errors import TrackingError
from recsys.passwords import public_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# MLflow passes on the errors of a download as text.
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # only about what is written, here the cache
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_LOST = re.compile(r"No such (artifact|file)|NoSuchKey|\b404\b|Run with id=\S+ not found")


class ModelUnavailable(TrackingError):
    """A model whose files cannot be had now, although MLflow answers.

    The artifact store does not have them, or the cache cannot hold them. That may pass: a disk is
    cleaned up, a folder is mounted again.
    """

    exit_code = 1


@dataclass(frozen=True)
class RunFiles:
    """The files of a version's run in the artifact store.

    Attributes:
        client: client of MLflow.
        tracking_uri: URI of MLflow.
        version: the version.
        cache: folder of the cache.
    """

    client: MlflowClient
    tracking_uri: str
    version: ModelVersion
    cache: Path

    def download(self, names: Iterable[str], folder: Path) -> None:
        """Download files.

        `MlflowClient.download_artifacts` would hide the cause of every error behind the advice to
        check the path.

        Args:
            names: names of the files.
            folder: folder in the cache that receives them.

        Raises:
            ModelUnavailable: a file is missing, or the cache cannot hold it.
            TrackingError: MLflow does not answer.
        """
        from mlflow.artifacts import download_artifacts

        with self._errors("the run", folder):
            place = self.client.get_run(self.version.run_id).info.artifact_uri
        for name in names:
            with self._errors(name, folder):
                download_artifacts(
                    artifact_uri=f"{place}/{name}",
                    dst_path=str(folder),
                    tracking_uri=self.tracking_uri,
                )

    @contextmanager
    def _errors(self, what: str, folder: Path) -> Iterator[None]:
        """Tell errors of the cache and missing files from an outage of MLflow.

        Args:
            what: what is asked for.
            folder: folder that receives it.

        Raises:
            ModelUnavailable: it is missing, or the cache cannot hold it.
            TrackingError: MLflow does not answer.
        """
        from mlflow.exceptions import MlflowException

        with tracking_errors(self.tracking_uri):
            try:
                yield
            except (MlflowException, OSError) as error:
                if reason := _cache_fault(str(error), folder):
                    raise unwritable(self.cache, reason) from None
                if _LOST.search(str(error)):
                    version = self.version
                    raise ModelUnavailable(
                        f"{version.name} version {version.version}, run {version.run_id}: MLflow "
                        f"at {public_uri(self.tracking_uri)} does not have {what} any more; bring "
                        "it back, or promote again"
                    ) from None
                raise


def unwritable(cache: Path, reason: str) -> ModelUnavailable:
    """Return the error of a cache that cannot be written.

    Args:
        cache: folder of the cache.
        reason: the system's sentence.
    """
    return ModelUnavailable(
        f"{cache}: cannot be written ({reason}); set RECSYS_CACHE to a folder that can"
    )


def _cache_fault(error: str, folder: Path) -> str | None:
    """Return the reason why files cannot be written; None if the error has another cause.

    Args:
        error: text of the error.
        folder: folder of the cache that was written to.
    """
    for number in map(int, _ERRNO.findall(error)):
        if number in _FULL or (number in _FORBIDDEN and folder.parent.name in error):
            return os.strerror(number)
    return None
