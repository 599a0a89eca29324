"""Bulk recommendation: top-k for many users in one pass, written as a table on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from hpo.errors import HpoError, SettingsError
from hpo.serving.user_files import user_ids
from recsys.cli import check_suffix, draft_of, without_formulas
from recsys.readers import whole_number
from recsys.retrieval import Recommender, check_k

CHUNK = 4096  # users per product and per line of progress
SCHEMA = {
    "user_id": pl.String,
    "rank": pl.Int32,
    "item_id": pl.String,
    "score": pl.Float32,
    "source": pl.String,
}
WRITERS = {".parquet": "sink_parquet", ".csv": "sink_csv"}


@dataclass(frozen=True)
class Users:
    """The users to recommend to.

    Attributes:
        known: (b,) int64 positions in the model's `user_ids`.
        unknown: ids that the model does not know; these users get popular items.
    """

    known: np.ndarray[tuple[int], np.dtype[np.int64]]
    unknown: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.known) + len(self.unknown)


def check_out(path: Path) -> None:
    """Refuse a path that the table cannot be written to.

    Raises:
        SettingsError: the suffix is wrong, or the folder does not exist.
    """
    check_suffix("--out", path, tuple(WRITERS))
    if not path.parent.is_dir():
        raise SettingsError(
            f"--out {path}: the folder {path.parent} does not exist; create it, or name another"
        )


def read_users(source: str, recommender: Recommender) -> Users:
    """Return all users that the model knows, or the users of a file, each once and in order.

    Args:
        source: "all", or a file as in `hpo.serving.user_files`.
        recommender: the model.

    Raises:
        SettingsError: the file does not exist, cannot be read, or contains no user.
    """
    if source == "all":
        return Users(np.arange(len(recommender.user_ids)), ())
    return find_users(user_ids(source), recommender)


def find_users(ids: Sequence[str], recommender: Recommender) -> Users:
    """Return users by their ids, each once; the known ones are in the order of the ids.

    Args:
        ids: ids of users.
        recommender: the model.
    """
    positions = [_position(recommender, user_id) for user_id in ids]
    # The file may contain both 12 and 12.0, which are one user.
    once = dict.fromkeys(position for position in positions if position is not None)
    known = np.array(list(once), np.int64)
    unknown = [each for each, position in zip(ids, positions, strict=True) if position is None]
    return Users(known, tuple(dict.fromkeys(unknown)))


def _position(recommender: Recommender, user_id: str) -> int | None:
    """Return the position of a user; "12.0" means 12 unless the model knows the id "12.0"."""
    position = recommender.position(user_id)
    if position is None and (whole := whole_number(user_id)) is not None:
        return recommender.position(whole)
    return position


def write_top(
    recommender: Recommender,
    users: Users,
    k: int,
    path: Path,
    progress: Callable[[int], None],
    *,
    spreadsheet_safe: bool = False,
) -> None:
    """Write the columns user_id, rank (from 1), item_id, score, source; known users come first.

    Memory does not grow with the number of users. The file appears only when it is complete.

    Args:
        recommender: the model.
        users: users to recommend to.
        k: items per user; fewer if the catalogue has fewer.
        path: output file, .parquet or .csv.
        progress: called with the number of finished users, from a thread of Polars.
        spreadsheet_safe: quote text in CSV that a spreadsheet would run.

    Raises:
        HpoError: the file cannot be written.
        RequestError: `k` is out of range.
    """
    check_k(k)
    suffix = path.suffix.lower()
    is_quoted = spreadsheet_safe and suffix == ".csv"

    def rows(
        with_columns: Sequence[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        del with_columns, predicate, n_rows, batch_size  # a sink takes all columns and rows
        tables = _tables(recommender, users, k, progress)
        yield from map(without_formulas, tables) if is_quoted else tables

    table = register_io_source(rows, schema=SCHEMA)
    try:
        with draft_of(path, ".recommend-") as draft:
            getattr(table, WRITERS[suffix])(draft)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise HpoError(f"--out {path}: cannot be written ({error})") from None


def top_table(recommender: Recommender, users: Users, k: int) -> pl.DataFrame:
    """Return what `write_top` writes, as a table in memory, for a few users.

    Args:
        recommender: the model.
        users: users to recommend to.
        k: items per user.

    Raises:
        RequestError: `k` is out of range.
    """
    check_k(k)
    return pl.concat(_tables(recommender, users, k, lambda _: None))


def _tables(
    recommender: Recommender, users: Users, k: int, progress: Callable[[int], None]
) -> Iterator[pl.DataFrame]:
    user_ids = pl.Series(recommender.user_ids, dtype=pl.String)
    item_ids = pl.Series(recommender.item_ids, dtype=pl.String)
    for start in range(0, len(users.known), CHUNK):
        chunk = users.known[start : start + CHUNK]
        scores, items = (each.numpy() for each in recommender.top(chunk, k))
        row, column = np.nonzero(scores > -np.inf)
        yield pl.DataFrame({
            "user_id": user_ids.gather(chunk[row]),
            "rank": (column + 1).astype(np.int32),
            "item_id": item_ids.gather(items[row, column]),
            "score": scores[row, column],
            "source": pl.repeat("model", len(row), eager=True),
        })  # fmt: skip
        progress(start + len(chunk))
    popular = recommender.recommend([""], k)[0].items if users.unknown else ()
    for start in range(0, len(users.unknown), CHUNK):
        ids = users.unknown[start : start + CHUNK]
        yield pl.DataFrame(
            {
                "user_id": np.repeat(np.array(ids, object), len(popular)).tolist(),
                "rank": list(range(1, len(popular) + 1)) * len(ids),
                "item_id": [item for item, _ in popular] * len(ids),
                "score": [score for _, score in popular] * len(ids),
                "source": ["popular"] * (len(ids) * len(popular)),
            },
            schema=SCHEMA,
        )
        progress(len(users.known) + start + len(ids))
