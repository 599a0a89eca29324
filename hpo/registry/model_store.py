"""Registered models, loaded as verified data, without running anything out of the registry.

MLflow's own way to load a model runs a .py file out of the registry. Here model_meta.json must have
the sha256 stated in the version's tag. Only the files listed in model_meta.json are fetched
besides, and each must have the sha256 stated there. Only safetensors and JSON are read. Versions
registered before 2026-11-27 have a tag for each file.
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

from filelock import FileLock

from hpo.config import MODEL, Locations, command, is_model_name, require_store
from hpo.errors import HpoError, SettingsError
from hpo.registry.downloads import ModelUnavailable, RunFiles, unwritable
from hpo.registry.versions import CHAMPION
from recsys.artifacts import (
    META,
    Checkpoint,
    load,
    open_client,
    sha256,
    tracking_errors,
)
from recsys.datasets import cache_folder
from recsys.errors import CheckpointError
from recsys.messages import count
from recsys.passwords import public_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

KEPT_MODELS = 5  # models that stay in the cache at any age
KEPT_SECONDS = 24 * 3600  # time that every model stays in the cache after its last use
DIGEST = "sha256."  # a version's tag: this prefix and a file name, with the file's sha256
# Names of a stored model; any other file, such as a pickle, is refused unread.
SAFE_FILE = re.compile(r"[A-Za-z0-9_]+\.(json|safetensors|npy)")
# No quotes: names stand in filters of MLflow, which know no escapes.
REFERENCE = re.compile(
    r"models:/(?P<name>[^/@\s'\"`]+)(?:@(?P<alias>[\w.-]+)|/(?P<number>[1-9]\d*))"
)
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second: alias missing


class ModelRefused(HpoError):
    """A model that is not in the registry, or whose files are not the registered ones."""


@dataclass(frozen=True)
class Reference:
    """A registered model, named by an alias, which may move, or by a version number, which may not.

    Attributes:
        name: name of the registered model.
        alias: the alias; None for a reference by number.
        number: the version number; None for a reference by alias.
    """

    name: str
    alias: str | None
    number: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse models:/NAME@ALIAS, models:/NAME/VERSION, or NAME, which means its champion.

        Raises:
            SettingsError: the text has none of these forms.
        """
        if is_model_name(text):
            return cls(text, CHAMPION, None)
        found = REFERENCE.fullmatch(text)
        if found is None:
            raise SettingsError(
                f"model {text!r}: must be a name such as two-tower, models:/NAME@ALIAS or "
                "models:/NAME/VERSION, for instance models:/two-tower@champion"
            )
        return cls(**found.groupdict())

    def __str__(self) -> str:
        return f"models:/{self.name}" + (f"@{self.alias}" if self.alias else f"/{self.number}")


def _promote(tracking_uri: str, model: str) -> str:
    """Return the command that puts a model of this name there."""
    more = {} if model == MODEL else {"--model": model}
    return command("promote", locations=Locations(tracking_uri=tracking_uri), more=more)


class ModelStore:
    """The registry behind a tracking URI, with a cache of verified files.

    Args:
        tracking_uri: URI of MLflow.
        cache: folder of the cache, in which files are stored by their content and verified at each
            use; it may be deleted at any time. None: `models` in the user's cache folder.

    Raises:
        NoStoreError: the MLflow database is missing.
        TrackingError: the MLflow database cannot be opened.
    """

    def __init__(self, tracking_uri: str, cache: Path | None = None) -> None:
        require_store(tracking_uri)
        self._uri = tracking_uri
        self._client: MlflowClient = open_client(tracking_uri)
        self._cache = cache or cache_folder() / "models"

    def resolve(self, reference: Reference) -> ModelVersion:
        """Return the version that a reference means now.

        Raises:
            ModelRefused: there is no such version.
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
            versions = (
                self._client.search_model_versions(f"name = '{reference.name}'")
                if reference.alias == CHAMPION
                else []
            )
        place = public_uri(self._uri)
        if versions:
            newest = max(int(version.version) for version in versions)
            raise ModelRefused(
                f"{reference}: MLflow at {place} has {count(len(versions), 'version')} of "
                f"{reference.name}, and none of them is the {CHAMPION}; give one by its "
                f"number, --model models:/{reference.name}/{newest}, or make one the champion with "
                f"{_promote(self._uri, reference.name)} --study-name STUDY --force REASON"
            )
        raise ModelRefused(
            f"{reference}: not in MLflow at {place}, which has {self._names()}; promote a model "
            f"with {_promote(self._uri, reference.name)}, or give another --model or --tracking-uri"
        )

    def _names(self) -> str:
        """Return the names of the registered models in words."""
        with tracking_errors(self._uri):
            names = [model.name for model in self._client.search_registered_models()]
        return f"the models {', '.join(names)}" if names else "no model"

    def load(self, version: ModelVersion) -> Checkpoint:
        """Load the model of a version from files that are exactly the registered ones.

        Raises:
            ModelRefused: a file is not the registered one.
            CheckpointError: the files are the registered ones, but this version of recsys cannot
                read them.
            ModelUnavailable: a file is missing, or the cache cannot be used.
            TrackingError: MLflow does not answer.
        """
        folder = self.fetch(version)
        try:
            return load(folder)
        except CheckpointError:
            if problem := _first_fault(folder, listed_files(version)):  # the cache may be deleted
                raise ModelUnavailable(f"{folder}: {problem}, just after it was read") from None
            raise

    def fetch(self, version: ModelVersion) -> Path:
        """Return a folder with the verified files of a version.

        Raises:
            ModelRefused: a file is not the registered one.
            ModelUnavailable: a file is missing, or the cache cannot be written.
            TrackingError: MLflow does not answer.
        """
        digests = listed_files(version)
        content = "\n".join(f"{digest} {name}" for name, digest in sorted(digests.items()))
        folder = self._cache / hashlib.sha256(content.encode()).hexdigest()[:32]
        if _first_fault(folder, digests) is None:
            self._forget_others(folder)
            return folder
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache, prefix=".fetching-") as temporary:
                draft = Path(temporary) / "model"
                self._download(version, digests, draft)
                self._keep(draft, folder, digests)
        except OSError as error:
            raise unwritable(self._cache, error.strerror or str(error)) from None
        if problem := _first_fault(folder, digests):
            raise ModelUnavailable(f"{folder}: {problem}, just after it was written")
        self._forget_others(folder)
        return folder

    def _keep(self, draft: Path, folder: Path, digests: Mapping[str, str]) -> None:
        """Move verified files into the cache, unless another process was faster.

        Several servers fetch a new champion at the same time. The first to arrive is reading its
        folder when the others arrive, so these must leave it alone.

        Args:
            draft: folder with the verified files.
            folder: their place in the cache, missing or damaged when the download began.
            digests: sha256 by name, from the tags.
        """
        with FileLock(self._cache.with_name(f"{self._cache.name}.lock")):
            if _first_fault(folder, digests) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                draft.rename(folder)

    def _forget_others(self, used: Path) -> None:
        """Remove models without recent use from the cache.

        Otherwise a nightly retraining would fill the disk.
        """
        with suppress(OSError):  # the cache belongs to another user, who keeps it small
            os.utime(used)
            others = [path for path in self._cache.iterdir() if path != used]
            for path in sorted(others, key=lambda path: -path.stat().st_mtime)[KEPT_MODELS - 1 :]:
                if path.stat().st_mtime < time.time() - KEPT_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)

    def _download(self, version: ModelVersion, digests: Mapping[str, str], folder: Path) -> None:
        """Download the files of a version into a new folder and verify them.

        Raises:
            ModelRefused: a file is not the registered one.
            ModelUnavailable: a file is missing, or the cache cannot hold it.
            TrackingError: MLflow does not answer.
        """
        folder.mkdir()
        files = RunFiles(self._client, self._uri, version, self._cache)
        files.download(digests, folder)
        if set(digests) == {META} and _difference(folder, digests) is None:
            files.download(_manifest(folder), folder)
        if problem := _first_fault(folder, digests):
            raise ModelRefused(
                f"{version.name} version {version.version}, run {version.run_id}: {problem}; "
                "promote again, or find out who changed it"
            )


def manifest_tag(folder: Path) -> dict[str, str]:
    """Return the tag with the sha256 of model_meta.json, which lists all files of a model."""
    return {DIGEST + META: sha256(folder / META)}


def listed_files(version: ModelVersion) -> dict[str, str]:
    """Return the sha256 of each file that a version's tags list.

    No other file is fetched before these are verified.

    Raises:
        ModelRefused: the tags list no files, or a name that no stored model has.
    """
    tags = version.tags.items()
    files = {tag.removeprefix(DIGEST): text for tag, text in tags if tag.startswith(DIGEST)}
    which = f"{version.name} version {version.version}"
    if not files:
        raise ModelRefused(
            f"{which}: has no {DIGEST}* tags, so hpo.promote did not register it; "
            "promote its study with python -m hpo.promote"
        )
    for name in files:
        if not SAFE_FILE.fullmatch(name):
            raise ModelRefused(f"{which}: lists {name!r}, which is no file of a stored model")
    return files


def _first_fault(folder: Path, digests: Mapping[str, str]) -> str | None:
    """Return the first fault of the files; None if each exists and has its digest.

    Args:
        folder: folder with the files.
        digests: sha256 by name, from the tags; the digest of model_meta.json alone covers all files
            that it lists.

    Raises:
        ModelRefused: model_meta.json is the registered one but does not list the files of a model.
    """
    problem = _difference(folder, digests)
    if problem or set(digests) != {META}:
        return problem
    return _difference(folder, _manifest(folder))


def _manifest(folder: Path) -> dict[str, str]:
    """Return sha256 by file name from a model_meta.json that has been verified.

    Raises:
        ModelRefused: model_meta.json lists no files, or a name that no stored model has.
    """
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    files: dict[str, str] = meta.get("files") or {}
    for name in files:
        if not SAFE_FILE.fullmatch(name):
            raise ModelRefused(f"{META} lists {name!r}, which is no file of a stored model")
    if not files:
        raise ModelRefused(f"{META} lists no files; register the model again with hpo.promote")
    return files


def _difference(folder: Path, digests: Mapping[str, str]) -> str | None:
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is not there"
        if sha256(path) != digest:
            return f"{name} is not the file that was registered (its sha256 differs)"
    return None
