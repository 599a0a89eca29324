"""The artifact store, a team's place for studies' files: a folder, or a bucket through fsspec.

A file lies there as ROOT/UID/SHA256-NAME. So its name says what it holds, no file ever changes, and
each is checked when it is read. It appears whole or not at all: an object is put as a whole, and a
folder gets a draft that is then renamed. Retries with backoff are those of the store's own client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hpo.config import FOLDERS
from hpo.errors import ArtifactStoreError, SettingsError
from recsys.artifacts import sha256
from recsys.drafts import replacing
from recsys.passwords import without_password
from recsys.readers import first_line

T = TypeVar("T")


class StoredFile(NamedTuple):
    """The identity of a file in an artifact store.

    Attributes:
        name: name of the file, without folders.
        sha256: hash of the content, as hex digits.
    """

    name: str
    sha256: str

    @property
    def key(self) -> str:
        """Return the name of the file in its study's folder."""
        return f"{self.sha256}-{self.name}"


def _folder(url: str) -> Path | None:
    """Return the folder at an address; None for a bucket."""
    if "://" not in url:
        return Path(url).expanduser().resolve()
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)).resolve() if parts.scheme in FOLDERS else None


class ArtifactStore:
    """A folder or bucket with the files of studies.

    Args:
        url: address, as `hpo.config.Locations.resolve` gives it.

    Attributes:
        url: the address.

    Raises:
        SettingsError: the store's driver is missing, or there is none for such an address.
    """

    def __init__(self, url: str) -> None:
        from fsspec import filesystem
        from fsspec.core import url_to_fs

        self.url = url
        folder = _folder(url)
        self._is_folder = folder is not None
        fresh = {"skip_instance_cache": True, "use_listings_cache": False}
        try:
            if folder is None:
                self._system, self._root = url_to_fs(url, **fresh)
            else:  # not by its URL, whose %20 fsspec would take for the name of a folder
                self._system, self._root = filesystem("file", **fresh), folder.as_posix()
        except ImportError as error:
            raise SettingsError(
                f"--artifacts {url}: {error}; drivers come with: pip install 'two-tower-hpo[cloud]'"
            ) from None
        except ValueError as error:
            raise SettingsError(
                f"--artifacts {url}: {_told(error)}; give a folder, s3://BUCKET/PREFIX, "
                "gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
            ) from None

    @classmethod
    def at(cls, url: str | None) -> Self | None:
        """Return the store at an address; None for None."""
        return None if url is None else cls(url)

    def keys(self, uid: str) -> set[str]:
        """Return the keys of a study's files.

        Raises:
            ArtifactStoreError: the store does not answer.
        """
        found: list[str] = self._ask(lambda: self._system.find(f"{self._root}/{uid}"))
        return {path.rpartition("/")[2] for path in found} - {""}

    def write(self, uid: str, file: StoredFile, path: Path) -> None:
        """Store a file.

        Args:
            uid: uid of the study.
            file: its identity.
            path: the content, which the caller has compared with the hash.

        Raises:
            ArtifactStoreError: the store does not take it.
        """
        target = f"{self._root}/{uid}/{file.key}"

        def put() -> None:
            if self._is_folder:
                with replacing(Path(target)) as draft:
                    self._system.put_file(str(path), str(draft))
            else:
                self._system.put_file(str(path), target)

        self._ask(put)

    def read(self, uid: str, file: StoredFile, target: Path) -> None:
        """Fetch a file, and check it.

        Args:
            uid: uid of the study.
            file: its identity.
            target: path of the copy, which is there whole or not at all.

        Raises:
            ArtifactStoreError: the store does not answer, or has not this file.
        """

        def get() -> None:
            with replacing(target) as draft:
                self._system.get_file(f"{self._root}/{uid}/{file.key}", str(draft))
                if sha256(draft) != file.sha256:
                    raise OSError(f"{uid}/{file.key} is damaged: its sha256 is another")

        self._ask(get)

    def remove(self, uid: str, keys: Iterable[str]) -> None:
        """Remove files of a study.

        Raises:
            ArtifactStoreError: the store does not answer.
        """
        for key in sorted(keys):
            self._ask(partial(self._system.rm_file, f"{self._root}/{uid}/{key}"))

    def _ask(self, call: Callable[[], T]) -> T:
        """Return the answer of a call. Each client has errors of its own, with nothing in common.

        Raises:
            ArtifactStoreError: the call failed.
        """
        try:
            return call()
        except Exception as error:
            raise ArtifactStoreError(f"{self.url}: {_told(error)}") from error


def is_file_of(path: Path, digest: str) -> bool:
    """Return True if a file is there with this content.

    Args:
        path: path of the file.
        digest: sha256 of the content, as hex digits.
    """
    return path.is_file() and sha256(path) == digest


def _told(error: Exception) -> str:
    """Return an error in one line, without a password in an address of the store's server."""
    return without_password(first_line(error))
