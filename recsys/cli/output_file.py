"""Atomic output files: written as a whole or not at all.

A file is written under another name and moved into place. A symbolic link stays and its target
is replaced; pipes and devices are written into.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from recsys.errors import ConfigError

LOCK = "writer.lock"  # locked while a process writes in the folder of a draft
YOUNG_SECONDS = 60.0  # age below which a folder may not have its lock yet


def check_suffix(option: str, path: Path, suffixes: Sequence[str]) -> None:
    """Check that the suffix of an output file names a format that the option allows.

    Args:
        option: the command-line option, for the message.
        path: the output file.
        suffixes: allowed suffixes in lower case, such as ".csv".

    Raises:
        ConfigError: the file has another suffix.
    """
    if path.suffix.lower() not in suffixes:
        raise ConfigError(f"{option} {path}: must end in {' or '.join(suffixes)}")


def is_special(path: Path) -> bool:
    """Return True if a pipe or a device is there, such as /dev/stdout: neither file nor folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def draft_of(path: Path, prefix: str) -> Iterator[Path]:
    """Yield a path to write to; when the block ends without error, the draft moves to `path`.

    Args:
        path: the output file; its folder exists.
        prefix: prefix of the temporary folder beside it; folders with this prefix that killed
            writers left are removed.
    """
    special = is_special(path)
    target = path if special else path.resolve()
    beside = None if special else target.parent
    if beside:
        _clear(beside, prefix)
    with (
        tempfile.TemporaryDirectory(dir=beside, prefix=prefix) as folder,
        FileLock(Path(folder) / LOCK),
    ):
        draft = Path(folder) / (path.name or "draft")
        yield draft
        if special:
            with draft.open("rb") as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        else:
            draft.replace(target)


def _clear(beside: Path, prefix: str) -> None:
    """Remove temporary folders whose writers are dead: their locks are free."""
    for folder in beside.glob(f"{prefix}*"):
        try:
            if time.time() - folder.stat().st_mtime < YOUNG_SECONDS:
                continue
            with FileLock(folder / LOCK, timeout=0):
                pass
        except (Timeout, OSError):  # in use, another user's, or gone by now
            continue
        shutil.rmtree(folder, ignore_errors=True)
