"""Make tests/data/old_study.tar.xz with the code of a checkout, as README.md beside it says.

    python tests/data/make_old_study.py CHECKOUT

The study, its MLflow store and a promoted version are made by the commands of that checkout in a
temporary folder, whose path is stored as `/OLD_STUDY`.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

PLACEHOLDER = "/OLD_STUDY"
ARCHIVE = Path(__file__).parent / "old_study.tar.xz"
N_USERS, N_ITEMS, LENGTH = 60, 30, 12
STUDY = """\
n_trials = 5

[base]
dim = 8
epochs = 4
patience = 4

[space]
dim = { low = 4, high = 12, log = true }
lr = { low = 0.002, high = 0.1, log = true }

[pruner]
name = "none"

[promotion]
must_beat = ["champion", "popularity"]
"""
COMMANDS = (
    ("hpo.run", "--study", "tiny.toml", "--data", "interactions.csv", "--workers", "1",
     "--threads", "1", "--device", "cpu", "--seed", "3", "--no-report"),
    ("hpo.promote", "--candidates", "1", "--seeds", "1"),
)  # fmt: skip


def write_inputs(folder: Path) -> None:
    """Write the data (user u takes items u, u + 1, ... in order) and the study file."""
    rows = [
        f"u{user},i{(user + step) % N_ITEMS},{step}"
        for user in range(N_USERS)
        for step in range(LENGTH)
    ]
    text = "\n".join(["user_id,item_id,timestamp", *rows]) + "\n"
    (folder / "interactions.csv").write_text(text, encoding="utf-8")
    (folder / "tiny.toml").write_text(STUDY, encoding="utf-8")


def columns_with(database: sqlite3.Connection, text: str) -> Iterator[tuple[str, str]]:
    """Yield table and column of every text column where `text` occurs."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for _, column, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall():
            query = f'SELECT count(*) FROM "{table}" WHERE instr("{column}", ?)'
            if database.execute(query, (text,)).fetchone()[0]:
                yield table, column


def move(path: Path, old: str, new: str) -> None:
    """Replace `old` by `new` in all columns of an SQLite file; write no journal beside it."""
    with closing(sqlite3.connect(path)) as database:
        for table, column in list(columns_with(database, old)):
            statement = f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?)'
            database.execute(statement, (old, new))
        database.commit()
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("VACUUM")


def without_locks(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Return an entry without its owner, None for locks: they name the machine."""
    if ".locks" in Path(entry.name).parts or entry.name.endswith(".lock"):
        return None
    entry.uname = entry.gname = ""
    entry.uid = entry.gid = 0
    return entry


def main() -> None:
    """Run the commands of the checkout given, and pack what they left."""
    checkout = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        write_inputs(folder)
        kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        environment = {**kept, "PYTHONPATH": str(checkout), "RECSYS_CACHE": f"{folder}-cache"}
        for command in COMMANDS:
            subprocess.run(
                [sys.executable, "-m", *command], cwd=folder, env=environment, check=True
            )
        for database in folder.rglob("*.db"):
            move(database, folder.as_posix(), PLACEHOLDER)
        with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name, filter=without_locks)


if __name__ == "__main__":
    main()
