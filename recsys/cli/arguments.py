"""Command-line flags of data and split, the same in every command; no heavy imports."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, get_args

if TYPE_CHECKING:
    from recsys.data import Dataset

DEFAULT_DATA = "ml-100k"


# Options on data beside --data; the names are the keys of [data] in a study file.
DATA_SETTINGS = (
    "sql", "user_col", "item_col", "time_col", "event_col", "rating_col", "header", "time_format",
    "event_weights", "repeats", "min_rating", "min_user_rows", "min_item_rows", "item_features",
    "user_features",
)  # fmt: skip


def add_data_arguments(
    parser: argparse.ArgumentParser, *, source: str | None = DEFAULT_DATA, where: str = DEFAULT_DATA
) -> None:
    """Add --data (or --data-root) and the options of `DATA_SETTINGS`, which have no default.

    Args:
        parser: the parser to extend.
        source: default of --data; None if a study file or a stored study provides it.
        where: name of that default in the help.
    """
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        "--data-root",
        dest="data",
        default=source,
        metavar="NAME|PATH|URL",
        help="demo, ml-100k, or a folder or file of your own, here or at an address (https://, "
        f"s3://) (default: {where}); a name wins, ./ml-100k is the folder of that name",
    )
    group.add_argument(
        "--sql",
        metavar="QUERY",
        help="query of the interactions; --data then is a database, such as "
        "postgresql+psycopg://HOST/DATABASE",
    )
    _add_column_arguments(group)
    _add_filter_arguments(group)
    for side, example in (("item", "genres,year"), ("user", "age,zone:category")):
        group.add_argument(
            f"--{side}-features",
            type=_split_names,
            metavar="COLUMNS",
            help=f"columns of the {side} table that the model learns from, as {example} "
            "(default: none)",
        )


def _add_column_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the options on columns and their forms."""
    examples = {
        "user": "user_id",
        "item": "item_id",
        "time": "timestamp",
        "event": "event",
        "rating": "rating",
    }
    for role, example in examples.items():
        group.add_argument(
            f"--{role}-col",
            metavar="COLUMN",
            help=f"column of the {role} if it is not recognised (as {example} is)",
        )
    group.add_argument(
        "--no-header",
        dest="header",
        action="store_const",
        const=False,
        help="text files begin with data; give columns by position: --user-col 1 --item-col 2",
    )
    group.add_argument(
        "--time-format",
        metavar="FORMAT",
        help="form of times in text, as '%%m/%%d/%%Y %%H:%%M' (default: recognised)",
    )
    group.add_argument(
        "--event-weights",
        type=_weights,
        metavar="WORD=W,...",
        help="weights of event words, as view=1,like=4; 0 leaves rows out (default: view 1, "
        "click 2, cart 3, purchase 5, returns 0)",
    )


def _add_filter_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the options on the rows that count."""
    group.add_argument(
        "--repeats",
        choices=("drop", "keep"),
        help="when a user meets an item again: drop it, or keep all rows (default: drop)",
    )
    group.add_argument(
        "--min-rating",
        type=float,
        metavar="X",
        help="leave out rows with a lower rating (default: any rating counts as interest)",
    )
    for side in ("user", "item"):
        group.add_argument(
            f"--min-{side}-rows",
            type=_at_least_one,
            metavar="N",
            help=f"leave out {side}s with fewer rows, until all have enough (default: 1)",
        )


def _at_least_one(text: str) -> int:
    """Return a whole number from 1.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from 1")
    return int(text)


def _weights(text: str) -> dict[str, float]:
    """Return the weights in a list such as view=1,like=4.

    Raises:
        argparse.ArgumentTypeError: the list has another form, or a weight is negative.
    """
    found = {}
    for part in text.split(","):
        word, _, weight = part.rpartition("=")
        try:
            found[word.strip()] = float(weight)
        except ValueError:
            found[""] = 0.0
    if "" in found or any(not 0 <= weight < float("inf") for weight in found.values()):
        raise argparse.ArgumentTypeError(f"{text!r}: give WORD=WEIGHT, ..., as view=1,like=4")
    return found


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
    from recsys.datasets import load_as_set
    from recsys.messages import to_stderr

    return load_as_set(args.data, args, to_stderr)
