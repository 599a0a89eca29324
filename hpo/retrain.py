"""Retraining of the champion on today's data: python -m hpo.retrain [--data PATH]"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hpo.arguments import (
    add_gate_arguments,
    add_moved_data_argument,
    add_place_arguments,
    chosen_locations,
)
from recsys.cli import command_parser, run_command

REFUSED = 1  # exit code if the gate refused


def main(argv: Sequence[str]) -> int:
    """Retrain the champion, print the summary, and return the exit code: 1 if the gate refused.

    Raises:
        RecsysError: see `hpo.promotion.retrain.retrain`.
    """
    options = parser().parse_args(argv)
    if options.force and options.dry_run:
        parser().error("--force changes the registry, --dry-run does not: give one of them")
    from hpo.config import MODEL
    from hpo.promotion import UnchangedData, promotion_summary, retrain_champion

    locations = chosen_locations(options)
    found = retrain_champion(
        locations,
        data=options.data,
        dry_run=options.dry_run,
        force=options.force,
        model=options.model or MODEL,
        say=_say,
    )
    if isinstance(found, UnchangedData):
        print(
            f"the data has not changed since the champion (version {found.version}; fingerprint "
            f"{found.fingerprint}): nothing to train"
        )
        return 0
    print(promotion_summary(found, locations))
    return 0 if found.passed else REFUSED


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.retrain`."""
    result = command_parser(
        "hpo.retrain",
        "Train the champion's recipe on today's data and register the model: as champion if\n"
        "it passes the gate of hpo.promote. Unchanged data is not trained on again.",
        "--data shop.csv",
    )
    add_place_arguments(result, study=False)
    add_moved_data_argument(result, "champion")
    add_gate_arguments(result, "two-tower")
    return result


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
