"""Names of files and of data by their paths and addresses; no file is read, no library loaded."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit


def extension_of(path: Path) -> str:
    """Return the extension in lower case, without a final .gz."""
    name = path.name.casefold().removesuffix(".gz")
    return name[name.rindex(".") :] if "." in name else ""


def stem_of(path: Path) -> str:
    """Return the file name without its extension and a final .gz."""
    name = path.name[: -len(".gz")] if path.name.casefold().endswith(".gz") else path.name
    return name.rpartition(".")[0] if "." in name else name


def is_remote(source: str) -> bool:
    """Return True for an address such as https://HOST/FILE or s3://BUCKET/FOLDER/."""
    return re.match(r"[a-z][a-z0-9+.-]+://", source) is not None


def matching_files(path: Path) -> tuple[Path, ...]:
    """Return the files that a path with wildcards in its name stands for, in order.

    Returns:
        The files; none if there is a file or folder of exactly that name.
    """
    is_pattern = any(mark in path.name for mark in "*?[") and "**" not in path.name
    if not is_pattern or path.exists() or not path.parent.is_dir():
        return ()
    return tuple(sorted(file for file in path.parent.glob(path.name) if file.is_file()))


def short_name(source: str) -> str:
    """Return the name of the data at a path, address or URL, as `Dataset.name`."""
    if is_remote(source):
        return stem_of(Path(urlsplit(source).path)) or "data"
    path = Path(source)
    if matching_files(path):
        return path.parent.resolve().name or "data"
    name = path.resolve().name or "data"
    return name if path.is_dir() else stem_of(Path(name))
