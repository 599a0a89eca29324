"""Registered models, read as data: verified files and installed code, nothing that could run.

What MLflow calls loading a model runs a .py out of the registry. Here model_meta.json must have
the sha256 that the version's tag states, only the files that it lists are fetched besides, each
must have the sha256 stated there, and safetensors and JSON are all that is read. Versions of
before 2026-11-27 have a tag for each file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hpo.config.locations import Locations, require_store
from hpo.config.next_commands import command
from hpo.errors import HpoError, SettingsError
from recsys.artifacts.checkpoint import Checkpoint, load
from recsys.artifacts.checkpoint_files import META, sha256
from recsys.artifacts.mlflow_client import open_client, public_uri, tracking_errors
from recsys.datasets.registry import cache_folder
from recsys.retrieval.index_builder import with_index
from recsys.retrieval.recommender import Recommender

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

KEPT_MODELS = 5  # in the cache, however old
KEPT_SECONDS = 24 * 3600  # every model, since its last use
DIGEST = "sha256."  # + file name: a tag of a version
FILE = re.compile(r"[A-Za-z0-9_]+\.(json|safetensors|npy)")
REFERENCE = re.compile(r"models:/(?P<name>[^/@\s]+)(?:@(?P<alias>[\w.-]+)|/(?P<number>[1-9]\d*))")
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second: no such alias


class ModelRefused(HpoError):
    """The registry has no such model, or its files are not what the version says."""


@dataclass(frozen=True)
class Reference:
    """Which registered model: by an alias, which may move, or by a number, which may not."""

    name: str
    alias: str | None
    number: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From models:/NAME@ALIAS or models:/NAME/VERSION.

        Raises:
            SettingsError: it is neither.
        """
        found = REFERENCE.fullmatch(text)
        if found is None:
            raise SettingsError(
                f"--model {text!r}: must be models:/NAME@ALIAS or models:/NAME/VERSION, "
                "for instance models:/two-tower@champion"
            )
        return cls(**found.groupdict())

    def __str__(self) -> str:
        return f"models:/{self.name}" + (f"@{self.alias}" if self.alias else f"/{self.number}")


def _promote(tracking_uri: str) -> str:
    """Return the command that puts a model there."""
    return command("promote", locations=Locations(tracking_uri=tracking_uri))


class ModelStore:
    """The registry behind a tracking URI, with a cache of verified files.

    Args:
        tracking_uri: of MLflow.
        cache: files are kept there by their content, and verified at each use; it may be
            deleted at any time. None: `models` in the user's cache folder.

    Raises:
        NoStoreError: the MLflow database is missing.
        TrackingError: it cannot be opened.
    """

    def __init__(self, tracking_uri: str, cache: Path | None = None) -> None:
        require_store(tracking_uri)
        self._uri = tracking_uri
        self._client: MlflowClient = open_client(tracking_uri)
        self._cache = cache or cache_folder() / "models"

    def resolve(self, reference: Reference) -> ModelVersion:
        """The version that a reference means now.

        Raises:
            ModelRefused: there is none.
            TrackingError: MLflow does not answer.
        """
        from mlflow.exceptions import MlflowException

        with tracking_errors(self._uri):
            try:
                if reference.alias:
                    return self._client.get_model_version_by_alias(reference.name, reference.alias)
                return self._client.get_model_version(reference.name, reference.number)
            except MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
        raise ModelRefused(
            f"{reference}: not in MLflow at {public_uri(self._uri)}; promote a model with "
            f"{_promote(self._uri)}, or give another --model or --tracking-uri"
        )

    def load(self, version: ModelVersion) -> Checkpoint:
        """The stored model of a version, from files that are exactly what was registered.

        Raises:
            ModelRefused: files are missing or are not the registered ones.
            CheckpointError: they are, but this version of recsys cannot read them.
            TrackingError: MLflow does not answer.
        """
        return load(self.fetch(version))

    def fetch(self, version: ModelVersion) -> Path:
        """Folder with the verified files of a version; raises as `load` does."""
        digests = listed_files(version)
        content = "\n".join(f"{digest} {name}" for name, digest in sorted(digests.items()))
        folder = self._cache / hashlib.sha256(content.encode()).hexdigest()[:32]
        if _problem(folder, digests) is None:
            self._forget_others(folder)
            return folder
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache, prefix=".fetching-") as temporary:
                draft = Path(temporary) / "model"
                self._download(version, digests, draft)
                shutil.rmtree(folder, ignore_errors=True)  # damaged, or not there
                with suppress(OSError):  # another process was faster
                    draft.rename(folder)
        except OSError as error:
            raise ModelRefused(
                f"{self._cache}: cannot be written ({error.strerror}); set RECSYS_CACHE to a "
                "folder that can"
            ) from None
        if problem := _problem(folder, digests):
            raise ModelRefused(f"{folder}: {problem}, just after it was written")
        self._forget_others(folder)
        return folder

    def _forget_others(self, used: Path) -> None:
        """Remove models that were not used for long, or a nightly retraining fills the disk."""
        with suppress(OSError):  # another user's cache: it is theirs to keep small
            os.utime(used)
            others = [path for path in self._cache.iterdir() if path != used]
            for path in sorted(others, key=lambda path: -path.stat().st_mtime)[KEPT_MODELS - 1 :]:
                if path.stat().st_mtime < time.time() - KEPT_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)

    def _download(self, version: ModelVersion, digests: Mapping[str, str], folder: Path) -> None:
        folder.mkdir()
        with tracking_errors(self._uri):
            for name in digests:
                self._client.download_artifacts(version.run_id, name, str(folder))
            if set(digests) == {META} and _difference(folder, digests) is None:
                for name in _manifest(folder):
                    self._client.download_artifacts(version.run_id, name, str(folder))
        if problem := _problem(folder, digests):
            raise ModelRefused(
                f"{version.name} version {version.version}, run {version.run_id}: {problem}; "
                "promote again, or find out who changed it"
            )


def manifest_tag(folder: Path) -> dict[str, str]:
    """Return the tag that vouches for all files of a stored model: model_meta.json lists them."""
    return {DIGEST + META: sha256(folder / META)}


def listed_files(version: ModelVersion) -> dict[str, str]:
    """Return sha256 by file name from the version's tags: all that may be fetched first.

    Raises:
        ModelRefused: no files are listed, or one that no checkpoint has.
    """
    tags = version.tags.items()
    files = {tag.removeprefix(DIGEST): text for tag, text in tags if tag.startswith(DIGEST)}
    which = f"{version.name} version {version.version}"
    if not files:
        raise ModelRefused(f"{which}: has no {DIGEST}* tags, so hpo.promote has not made it")
    for name in files:
        if not FILE.fullmatch(name):
            raise ModelRefused(f"{which}: lists {name!r}, which is no file of a stored model")
    return files


def open_recommender(
    stored: Checkpoint, *, as_measured: bool = False, exact: bool = False
) -> Recommender:
    """What answers: from all of the data, with the index that is stored with the model, if any.

    Args:
        stored: the model.
        as_measured: from what the test figures were measured with, exactly.
        exact: look at all items, whatever index there is.
    """
    recommender = Recommender(stored.model, stored.measured if as_measured else stored.history)
    if stored.index is None or as_measured or exact:
        return recommender
    return with_index(recommender, stored.index)


def _problem(folder: Path, digests: Mapping[str, str]) -> str | None:
    """Return what is wrong with the files; None if each is there and has its digest.

    Args:
        folder: with the files.
        digests: sha256 by name, from the tags; of model_meta.json alone: it states the others'.

    Raises:
        ModelRefused: model_meta.json is the registered one and lists no files of a model.
    """
    problem = _difference(folder, digests)
    if problem or set(digests) != {META}:
        return problem
    return _difference(folder, _manifest(folder))


def _manifest(folder: Path) -> dict[str, str]:
    """Return sha256 by file name from a model_meta.json that has been verified.

    Raises:
        ModelRefused: it lists no files, or one that no checkpoint has.
    """
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    files: dict[str, str] = meta.get("files") or {}
    for name in files:
        if not FILE.fullmatch(name):
            raise ModelRefused(f"{META} lists {name!r}, which is no file of a stored model")
    if not files:
        raise ModelRefused(f"{META} lists no files; promote again")
    return files


def _difference(folder: Path, digests: Mapping[str, str]) -> str | None:
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is not there"
        if sha256(path) != digest:
            return f"{name} is not the file that was registered (its sha256 differs)"
    return None
