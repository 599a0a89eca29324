"""Recommendations for many users as a table: python -m hpo.recommend --users all --out FILE

For one user, in the terminal: python -m hpo.recommend --user 196
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.arguments import add_model_arguments, add_spreadsheet_argument
from recsys.cli import command_parser, run_command
from recsys.messages import count, to_stderr

if TYPE_CHECKING:
    import polars as pl

    from hpo.serving import Users
    from recsys.retrieval import Recommender


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.recommend`."""
    result = command_parser(
        "hpo.recommend",
        "Write the top items of many users, by a registered model, as Parquet or CSV with the "
        "columns user_id, rank, item_id, score, source; or show those of a few.",
        "--users all --out top.parquet --k 20",
    )
    who = result.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--users",
        metavar="FILE|all",
        help="file with one user id a line, or CSV or Parquet with a column of users; all: all "
        "users that the model knows",
    )
    who.add_argument(
        "--user",
        action="append",
        metavar="ID",
        help="id of one user; may be repeated; without --out, the items are shown here",
    )
    result.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="output file, .parquet or .csv; required with --users",
    )
    result.add_argument(
        "-k", "--k", type=int, default=10, help="number of items per user (default: %(default)s)"
    )
    add_spreadsheet_argument(result)
    add_model_arguments(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Write or show the recommendations, and return the exit code.

    Raises:
        SettingsError: an option is wrong.
        NoStoreError: the MLflow database is missing.
        ModelRefused: there is no such model, or its files are not the registered ones.
        CheckpointError: the model's files cannot be read.
        TrackingError: MLflow does not answer.
        HpoError: the table cannot be written.
    """
    options = parser().parse_args(argv)
    if options.users is not None and not options.out:
        parser().error("--users needs --out FILE; to show the items of one user, give --user ID")
    if options.user is not None and not all(user.strip() for user in options.user):
        parser().error("--user is empty; give an id")
    if options.spreadsheet_safe and not options.out:
        parser().error("--spreadsheet-safe needs --out FILE.csv")
    from hpo.config import Locations
    from hpo.errors import SettingsError
    from hpo.registry import ModelStore, Reference
    from hpo.serving import check_out, find_users, read_users, top_table
    from recsys.retrieval import RequestError, check_k

    try:
        check_k(options.k)
    except RequestError as error:
        raise SettingsError(f"--{error}") from None
    if options.out:
        check_out(options.out)
    reference = Reference.parse(options.model)
    store = ModelStore(Locations.resolve(None, options.tracking_uri).tracking_uri)
    version = store.resolve(reference)
    stored = store.load(version)
    recommender = stored.recommender(as_measured=options.as_measured, exact=True)
    if options.users is not None:
        users = read_users(options.users, recommender)
    else:
        users = find_users(options.user, recommender)
    if not len(users.known):
        to_stderr(
            f"warning: {reference} (version {version.version}) knows none of these "
            f"{count(len(users), 'user')}, so all get popular items; is it the right --model?"
        )
    which = f"top {options.k} of {reference} (version {version.version})"
    if options.out:
        print(_written(options, recommender, users, which))
    else:
        _show(top_table(recommender, users, options.k), which)
    return 0


def _show(table: pl.DataFrame, title: str) -> None:
    """Print a table of recommendations."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title)
    for name in table.columns:
        shown.add_column(name, overflow="fold")  # an id is never cut
    for user, rank, item, score, source in table.rows():
        shown.add_row(user, str(rank), item, f"{score:.4f}", source)
    Console(highlight=False, markup=False, emoji=False).print(shown)


def _written(
    options: argparse.Namespace, recommender: Recommender, users: Users, which: str
) -> str:
    """Write the recommendations to --out, and return a line on them with the users per second."""
    from hpo.serving import write_top

    start = time.perf_counter()
    write_top(
        recommender,
        users,
        options.k,
        options.out,
        progress_line(len(users), start),
        spreadsheet_safe=options.spreadsheet_safe,
    )
    seconds = time.perf_counter() - start
    unknown = f", {len(users.unknown):,} of them unknown (popular items)" if users.unknown else ""
    return (
        f"{options.out}: {which} for {count(len(users), 'user')}{unknown}; "
        f"{len(users) / seconds:,.0f} users/s"
    )


def progress_line(n_users: int, start: float) -> Callable[[int], None]:
    """Return a function that shows the number of finished users in one line of the terminal.

    The line is erased when all users are done. Without a terminal, the function does nothing.

    Args:
        n_users: number of users.
        start: start of the computation, as of `time.perf_counter`.
    """
    if not sys.stderr.isatty():
        return lambda _: None

    def show(done: int) -> None:
        rate = done / (time.perf_counter() - start)
        line = f"{done:,} of {count(n_users, 'user')}, {rate:,.0f} users/s "
        # Erased at the end: the last line on stdout shows the rate with the time of writing.
        shown = " " * (len(line) + 5) + "\r" if done == n_users else line
        print(f"\r{shown}", end="", flush=True, file=sys.stderr)

    return show


if __name__ == "__main__":
    run_command(main)
