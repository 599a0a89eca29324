"""Files that appear whole or not at all: written as a draft, then moved into place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to, and move that file to `path` when the block ends.

    Only for files with one writer: the draft of a killed writer is overwritten by the next one.

    Args:
        path: the file to make or to replace; its folder is made if it is missing.

    Raises:
        OSError: the disk does not take the folder or the file; `path` is as it was.
    """
    draft = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        draft.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error says more
            draft.unlink()
        raise


@contextmanager
def new_database(path: Path, prefix: str) -> Iterator[Path]:
    """Yield the name of a SQLite draft to fill, and move it to `path` when the block ends.

    Whoever fills the draft closes its last connection, which folds the write-ahead log into it.

    Args:
        path: the database to make; its folder exists.
        prefix: of the temporary folder beside it.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=prefix) as folder:
        draft = Path(folder) / path.name
        yield draft
        # SQLite would play back the logs of a database that was deleted in the meantime.
        for suffix in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        draft.replace(path)
