"""The command-line flags about data, the same in every command. Imports nothing heavy."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.readers import Dataset

DEFAULT_DATA = "ml-100k"


def add_data_arguments(
    parser: argparse.ArgumentParser, *, source: str | None = DEFAULT_DATA, where: str = DEFAULT_DATA
) -> None:
    """Add --data (or --data-root), --user-col, --item-col, --time-col and --repeats.

    Args:
        parser: gets the flags.
        source: default of --data; None if a study file or a stored study knows better, and then
            --repeats has no default either.
        where: how the help names that default.
    """
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        "--data-root",
        dest="data",
        default=source,
        metavar="NAME|PATH",
        help="demo, ml-100k, or a folder or file of your own "
        f"(default: {where}); a name wins, ./ml-100k is the folder of that name",
    )
    for role, example in (("user", "user_id"), ("item", "item_id"), ("time", "timestamp")):
        group.add_argument(
            f"--{role}-col",
            metavar="COLUMN",
            help=f"column of the {role} if it is not recognised (as {example} is)",
        )
    group.add_argument(
        "--repeats",
        choices=("drop", "keep"),
        default="drop" if source else None,
        help="when a user meets an item again: drop it, or keep all rows (default: drop)",
    )


def dataset_from(args: argparse.Namespace) -> Dataset:
    """Load what the parsed flags name.

    Raises:
        DataError: the data cannot be found, fetched or used.
    """
    # Here, not above: polars takes a quarter of a second that --help must not cost.
    from recsys.datasets import load_dataset
    from recsys.readers import Columns

    columns = Columns(user=args.user_col, item=args.item_col, time=args.time_col)
    return load_dataset(args.data, columns=columns, repeats=args.repeats)
