"""Files at an address (https://, s3://, gs://, ...), fetched for the time of reading.

Every reading fetches anew, so the data is never older than its address. An address holds no login
and no signature, since it is stored with the study and shown in MLflow: it names an environment
variable in their place.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from recsys.datasets.database import address_only, variables_filled
from recsys.errors import DataError
from recsys.passwords import GRANTING_NAME, VARIABLE
from recsys.readers import first_line

_TIMEOUT = 30  # seconds to connect, and between two packets
# Options of an address that grant access: also signatures of S3, GCS and Azure, and keys.
_SECRET_OPTION = re.compile(
    rf"({GRANTING_NAME}|credential|signature|(^|[-_.])(sig|key|auth))$", re.IGNORECASE
)

# Variables with the login of a store, as its driver takes it from the environment.
_S3, _GCS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"
_AZURE = "AZURE_STORAGE_CONNECTION_STRING"
_LOGINS = {"s3": _S3, "s3a": _S3, "gs": _GCS, "gcs": _GCS}
_LOGINS |= dict.fromkeys(("az", "abfs", "abfss"), _AZURE)
_CONTAINERS = ("abfs", "abfss")  # abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FILE
# A password of fewer letters may be a word, or a part of words, of a message.
_LONG = 8


@contextmanager
def fetched(url: str, announce: Callable[[str], None]) -> Iterator[Path]:
    """Fetch a file or folder, and yield its path on this machine while the block runs.

    Problems raised in the block name the address instead of that path.

    Args:
        url: the address of a file or a folder.
        announce: receives a line for people before the fetching.

    Raises:
        DataError: there is nothing at the address, it cannot be reached, it holds a login, or a
            package is missing.
    """
    shown = address_only(url)  # without options, too: they may be a signature
    url, secrets = _with_login(url)
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
        except Exception as error:  # each driver of fsspec has errors of its own
            why = _without_login(first_line(error), url, shown, secrets)
            raise DataError(f"{shown}: cannot be fetched: {why}{_cure(url, error)}") from None
        try:
            yield local
        except DataError as error:
            base = shown.rstrip("/").removesuffix(name).rstrip("/")
            raise DataError([text.replace(folder, base) for text in error.problems]) from None


def _with_login(url: str) -> tuple[str, set[str]]:
    """Return the address with environment variables in place of their names, and what they hide.

    Raises:
        DataError: it holds a login or a signature, or a variable is not set.
    """
    parts = urlsplit(url)
    login, mark, host = parts.netloc.rpartition("@")
    words = login.split(":") if mark else []
    is_container = parts.scheme in _CONTAINERS and len(words) == 1
    options = [option.partition("=") for option in parts.query.split("&")]
    granting = [value for name, _, value in options if value and _SECRET_OPTION.search(name)]
    granting += [] if is_container else words[-1:]  # the password, or a token
    if not all(map(VARIABLE.fullmatch, granting)):
        raise DataError(
            f"{address_only(url)}: the address holds a login or a signature, which would be "
            "stored with the study; write $NAME in its place ('https://USER:$NAME@HOST/FILE' or "
            "'https://HOST/FILE?token=$NAME', in quotes) and set that environment variable"
        )

    def filled(text: str) -> str:
        return (variables_filled(text, url) or "") if VARIABLE.fullmatch(text) else text

    # a login is quoted here; options are written as in the address
    address = ":".join(quote(filled(word), "%" if filled(word) == word else "") for word in words)
    query = "&".join(name + equals + filled(value) for name, equals, value in options)
    filled_url = urlunsplit(parts._replace(netloc=address + mark + host, query=query))
    hidden = [*granting, *(value for _, _, value in options if VARIABLE.fullmatch(value))]
    return filled_url, set(map(filled, hidden)) - {""}


def _cure(url: str, error: Exception) -> str:
    """Return what to do about an error of a store of objects; nothing for other addresses."""
    variables = _LOGINS.get(urlsplit(url).scheme)
    if variables is None or isinstance(error, FileNotFoundError):
        return ""
    return f"; check the address, and set {variables} for a login"


def _without_login(text: str, url: str, shown: str, secrets: set[str]) -> str:
    """Return a message without the login and the options of an address.

    Args:
        text: the message.
        url: the address as it was asked.
        shown: the address as it may be shown.
        secrets: passwords, signatures and other values of variables in it.
    """
    parts = urlsplit(url)
    text = text.replace(url, shown)
    login = parts.netloc.rpartition("@")[0]
    for part in (f"?{parts.query}", f"{login}@" if ":" in login else ""):  # else one word, below
        text = text.replace(part, "") if len(part) > 1 else text
    forms = {form for word in secrets for form in (word, unquote(word), quote(word, ""))}
    for form in sorted(forms, key=len, reverse=True):  # one may be a part of another
        pattern = re.escape(form)
        text = re.sub(pattern if len(form) >= _LONG else rf"(?<!\w){pattern}(?!\w)", "***", text)
    return text


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
    system.get(path, str(local), recursive=system.isdir(path))  # events.parquet/ is one, too
    if not local.exists():
        raise FileNotFoundError("there is no such file or folder")
