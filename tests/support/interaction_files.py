"""Three rows in every form of file, and what a reader makes of them."""

from __future__ import annotations

import gzip
from pathlib import Path

from recsys.data.interactions import Interactions

ROWS = [("a", "x", 100), ("b", "y", 200), ("a", "y", 300)]
CSV = "user_id,item_id,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in ROWS)
MICROSECONDS = [100_000_000, 300_000_000, 200_000_000]  # of ROWS, in order of (user, time)


def write_file(folder: Path, name: str, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    if name.endswith(".gz"):
        data = gzip.compress(data)
    (folder / name).write_bytes(data)
    return folder / name


def pairs(data: Interactions) -> list[tuple[str, str]]:
    return [
        (data.user_ids[u], data.item_ids[i]) for u, i in zip(data.users, data.items, strict=True)
    ]


def expect_rows(data: Interactions) -> None:
    assert pairs(data) == [("a", "x"), ("a", "y"), ("b", "y")]
    assert data.times.tolist() == MICROSECONDS
    assert data.weights is None
