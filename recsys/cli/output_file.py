"""Tables that commands write where somebody says: whole or not at all, and nothing else replaced.

A file is written under another name and moved into place. What a link leads to is replaced, not
the link; pipes and devices are written into.
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

LOCK = "writer.lock"  # held while somebody writes in the folder of a draft
YOUNG_SECONDS = 60.0  # a folder may not have its lock yet


def check_suffix(option: str, path: Path, suffixes: Sequence[str]) -> None:
    """Raise ConfigError unless the name says the form that the table is to have."""
    if path.suffix.lower() not in suffixes:
        raise ConfigError(f"{option} {path}: must end in {' or '.join(suffixes)}")


def is_special(path: Path) -> bool:
    """Whether it is there and is neither a file nor a folder: a pipe, a device, /dev/stdout."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def draft_of(path: Path, prefix: str) -> Iterator[Path]:
    """A name to write to; what is there when the block ends well gets to `path`.

    Args:
        path: where it goes; its folder exists.
        prefix: of the temporary folder beside it. Those that killed writers left are removed.
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
    """Remove folders whose writers are dead: nobody holds their locks."""
    for folder in beside.glob(f"{prefix}*"):
        try:
            if time.time() - folder.stat().st_mtime < YOUNG_SECONDS:
                continue
            with FileLock(folder / LOCK, timeout=0):
                pass
        except (Timeout, OSError):  # in use, somebody else's, or gone by now
            continue
        shutil.rmtree(folder, ignore_errors=True)
