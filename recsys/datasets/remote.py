"""Files at an address (https://, s3://, gs://, ...), fetched for the time of reading.

Every reading fetches anew, so the data is never older than its address.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from recsys.datasets.database import without_login
from recsys.errors import DataError
from recsys.readers import first_line

_TIMEOUT = 30  # seconds to connect, and between two packets


@contextmanager
def fetched(url: str, announce: Callable[[str], None]) -> Iterator[Path]:
    """Fetch a file or folder, and yield its path on this machine while the block runs.

    Problems raised in the block name the address instead of that path.

    Args:
        url: the address; one without an extension is a folder.
        announce: receives a line for people before the fetching.

    Raises:
        DataError: there is nothing at the address, it cannot be reached, or a package is missing.
    """
    shown = without_login(url)  # without options, too: they may be a signature
    name = PurePosixPath(urlsplit(url).path).name or "data"
    announce(f"fetching {shown}")
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        local = Path(folder) / name
        try:
            (_by_web if urlsplit(url).scheme in ("http", "https") else _by_fsspec)(url, local)
        except ImportError as error:
            raise DataError(
                f"{shown}: {error}; pip install s3fs reads s3://, gcsfs gs://"
            ) from None
        except (OSError, ValueError) as error:
            _, mark, options = url.partition("?")
            why = first_line(error).replace(url, shown).replace(mark + options, "")
            raise DataError(f"{shown}: cannot be fetched: {why}") from None
        try:
            yield local
        except DataError as error:
            base = shown.rstrip("/").removesuffix(name).rstrip("/")
            raise DataError([text.replace(folder, base) for text in error.problems]) from None


def _by_web(url: str, local: Path) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")  # other levels log every temporary file
    pooch.retrieve(
        url,
        known_hash=None,
        path=local.parent,
        fname=local.name,
        downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
    )


def _by_fsspec(url: str, local: Path) -> None:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url)
    system.get(path, str(local), recursive=not PurePosixPath(path).suffix)
    if not local.exists():
        raise FileNotFoundError("there is no such file or folder")
