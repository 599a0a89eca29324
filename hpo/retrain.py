"""Train the champion's recipe on the data of today: python -m hpo.retrain [--data PATH]"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hpo.arguments import add_gate_arguments, add_moved_data_argument, add_place_arguments
from recsys.cli.entry import run_command
from recsys.cli.formatting import command_parser

REFUSED = 1  # exit code


def main(argv: Sequence[str]) -> int:
    """Retrain and print what came out; the exit code: 1 if the gate refused the model."""
    options = parser().parse_args(argv)
    if options.force and options.dry_run:
        parser().error("--force changes the registry, --dry-run does not: give one of them")
    from hpo.config.locations import Locations
    from hpo.promotion.retrain import Unchanged, retrain_champion
    from hpo.promotion.summary import promotion_summary

    locations = Locations.resolve(options.storage, options.tracking_uri, options.experiment_name)
    found = retrain_champion(
        locations, data=options.data, dry_run=options.dry_run, force=options.force, say=_say
    )
    if isinstance(found, Unchanged):
        print(
            f"the data is what the champion (version {found.version}) was made on (fingerprint "
            f"{found.fingerprint}): nothing to train"
        )
        return 0
    print(promotion_summary(found, locations))
    return 0 if found.passed else REFUSED


def parser() -> argparse.ArgumentParser:
    """All options of `python -m hpo.retrain`."""
    result = command_parser(
        "hpo.retrain",
        "Train the champion's recipe on the data of today and register the model: as champion if\n"
        "it passes the same gate as in hpo.promote. Data that has not changed is left alone.",
        "python -m hpo.retrain --data shop.csv",
    )
    add_place_arguments(result, study=False)
    add_moved_data_argument(result, "champion")
    add_gate_arguments(result)
    return result


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
