"""Comparison of two studies in the terminal, without any training.

python -m hpo.compare STUDY_A STUDY_B
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hpo.arguments import add_place_arguments, chosen_locations
from recsys.cli import command_parser, run_command


def main(argv: Sequence[str]) -> int:
    """Print the comparison and return the exit code.

    Raises:
        StudyError: there is no such study.
    """
    options = parser().parse_args(argv)
    from rich.console import Console

    from hpo.config import command, next_lines
    from hpo.reporting import comparison_tables, read_compared_study, warnings
    from hpo.study import existing_storage

    locations = chosen_locations(options)
    storage = existing_storage(locations.storage)
    first, second = (
        read_compared_study(storage, name) for name in (options.study_a, options.study_b)
    )
    console = Console(highlight=False, markup=False)
    apart = warnings(first, second)
    for warning in apart:
        console.print(f"warning: {warning}", style="bold yellow")
    for table in comparison_tables(first, second):
        console.print(table)
    bests = {side.name: (side.best.value if side.best else None) or 0.0 for side in (first, second)}
    if any(bests.values()) and not apart:
        nexts = {
            command(
                "report", max(bests, key=bests.__getitem__), locations
            ): "about the better study"
        }
        print("\n".join(next_lines(nexts)))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.compare`."""
    result = command_parser(
        "hpo.compare",
        "Compare two studies: data, best values and configs, and the search at equal cost.",
        "two_tower-ml-100k wide-ml-100k",
    )
    for name in ("STUDY_A", "STUDY_B"):
        result.add_argument(name.lower(), metavar=name, help="name of a study in --storage")
    add_place_arguments(result, study=False)
    return result


if __name__ == "__main__":
    run_command(main)
