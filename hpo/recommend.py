"""Recommendations for many users as a table: python -m hpo.recommend --users all --out FILE"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hpo.arguments import add_model_arguments, add_spreadsheet_argument
from recsys.cli import command_parser, run_command
from recsys.messages import count


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.recommend`."""
    result = command_parser(
        "hpo.recommend",
        "Write the top items of many users, by a registered model, as Parquet or CSV with the "
        "columns user_id, rank, item_id, score, source.",
        "--users all --out top.parquet --k 20",
    )
    result.add_argument(
        "--users",
        required=True,
        metavar="FILE|all",
        help="file with one user id a line, or CSV or Parquet with a column user_id; all: all "
        "users that the model knows",
    )
    result.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="output file, .parquet or .csv"
    )
    result.add_argument(
        "--k", type=int, default=10, help="number of items per user (default: %(default)s)"
    )
    add_spreadsheet_argument(result)
    add_model_arguments(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Write the recommendations, print the users per second, and return the exit code.

    Raises:
        SettingsError: an option is wrong.
        NoStoreError: the MLflow database is missing.
        ModelRefused: there is no such model, or its files are not the registered ones.
        CheckpointError: the model's files cannot be read.
        TrackingError: MLflow does not answer.
        HpoError: the table cannot be written.
    """
    options = parser().parse_args(argv)
    from hpo.config import Locations
    from hpo.errors import SettingsError
    from hpo.registry import ModelStore, Reference
    from hpo.serving import check_out, read_users, write_top
    from recsys.retrieval import RequestError, check_k

    try:
        check_k(options.k)
    except RequestError as error:
        raise SettingsError(f"--{error}") from None
    check_out(options.out)
    reference = Reference.parse(options.model)
    store = ModelStore(Locations.resolve(None, options.tracking_uri).tracking_uri)
    version = store.resolve(reference)
    stored = store.load(version)
    recommender = stored.recommender(as_measured=options.as_measured, exact=True)
    users = read_users(options.users, recommender)
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
    print(
        f"{options.out}: top {options.k} of {reference} (version {version.version}) for "
        f"{count(len(users), 'user')}{unknown}; {len(users) / seconds:,.0f} users/s"
    )
    return 0


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
