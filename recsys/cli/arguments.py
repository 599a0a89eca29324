"""Command-line flags of data and split, the same in every command; no heavy imports."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, get_args

if TYPE_CHECKING:
    from recsys.data import Dataset

DEFAULT_DATA = "ml-100k"


def add_data_arguments(
    parser: argparse.ArgumentParser, *, source: str | None = DEFAULT_DATA, where: str = DEFAULT_DATA
) -> None:
    """Add --data (or --data-root), the columns, --repeats, --item-features, --user-features.

    Args:
        parser: the parser to extend.
        source: default of --data; None if a study file or a stored study provides it, and then
            --repeats and the features have no default either.
        where: name of that default in the help.
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
    for side, example in (("item", "genres,year"), ("user", "age,zone:category")):
        group.add_argument(
            f"--{side}-features",
            type=_split_names,
            default=() if source else None,
            metavar="COLUMNS",
            help=f"columns of the {side} table that the model learns from, as {example} "
            "(default: none)",
        )


def add_split_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --split and --eval-users without defaults; study files and `split` have them."""
    from recsys.data import EVAL_USERS, Method

    group = parser.add_argument_group("split")
    group.add_argument(
        "--split",
        choices=get_args(Method),
        help="how validation and test are held out (default: given if the data comes in train.* "
        "and test.*, else temporal)",
    )
    group.add_argument(
        "--eval-users",
        type=int,
        metavar="N",
        help="validation asks so many users at most, drawn at random "
        f"(default: {EVAL_USERS:,}); test asks all",
    )


def _split_names(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list, without blanks."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def dataset_from(args: argparse.Namespace) -> Dataset:
    """Return the data set that the parsed flags name, with the features they name.

    Prints to stderr what reading left out or took for something else.

    Raises:
        DataError: the data cannot be found, fetched or used, or features cannot be made of it.
    """
    # Imported here, because polars takes a quarter of a second that --help must not cost.
    from recsys.datasets import load_dataset, with_features
    from recsys.readers import Columns

    columns = Columns(user=args.user_col, item=args.item_col, time=args.time_col)
    dataset = load_dataset(args.data, columns=columns, repeats=args.repeats)
    for note in dataset.notes:
        print(note, file=sys.stderr, flush=True)
    return with_features(dataset, items=args.item_features, users=args.user_features)
