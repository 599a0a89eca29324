"""The command `hpo list`, on all studies of a storage."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.arguments import add_place_arguments, chosen_locations
from recsys.cli import command_parser

if TYPE_CHECKING:
    from hpo.cli.overview import Overview

HEADINGS = ("study", "state", "finished", "best", "of", "last activity", "files")
NUMBERS = ("finished", "best", "files")  # columns with numbers, which end at one edge


def parser() -> argparse.ArgumentParser:
    """Return the parser of `hpo list`."""
    result = command_parser(
        "hpo.list",
        "List the studies of a storage, the newest first, with the size of their reports, models "
        "and snapshots. Nothing is written.",
        "--storage sqlite:///studies/optuna.db",
    )
    add_place_arguments(result, study=False)
    result.add_argument("--json", action="store_true", help="print a JSON object for each study")
    return result


def main(argv: Sequence[str]) -> int:
    """Print a line on each study and return the exit code.

    Raises:
        StudyError: there is no storage.
        SettingsError: the storage cannot be opened.
    """
    options = parser().parse_args(argv)
    from hpo.cli.overview import Overview
    from hpo.study import existing_storage, hpo_studies, load_named, translated_storage_errors
    from recsys.passwords import without_password

    locations = chosen_locations(options)
    with translated_storage_errors():
        storage = existing_storage(locations.storage)
        names = hpo_studies(storage)[::-1]
        found = [Overview.of(load_named(storage, name, moved=True), locations) for name in names]
    if options.json:
        for overview in found:
            print(json.dumps(overview.as_dict()))
        return 0
    for line in _table([_cells(overview) for overview in found]):
        print(line)
    noun = "study" if len(found) == 1 else "studies"
    print(f"{len(found)} {noun} in {without_password(locations.storage)}")
    return 0


def _cells(overview: Overview) -> tuple[str, ...]:
    """Return the cells of a study's row."""
    from hpo.cli.overview import size_text

    return (
        overview.name,
        overview.state,
        f"{overview.n_finished}/{overview.n_trials}",
        "-" if overview.best is None else f"{overview.best:.4f}",
        overview.objective,
        f"{overview.last:%Y-%m-%d %H:%M}" if overview.last else "-",
        size_text(overview.size),
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a heading and the rows as aligned lines; nothing without rows."""
    if not rows:
        return []
    whole = [HEADINGS, *rows]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    return ["  ".join(map(_aligned, HEADINGS, row, widths)).rstrip() for row in whole]


def _aligned(heading: str, cell: str, width: int) -> str:
    """Return a cell filled up with spaces to the width of its column."""
    return cell.rjust(width) if heading in NUMBERS else cell.ljust(width)
