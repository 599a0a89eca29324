"""Promotion of a study's winner: python -m hpo.promote [--study-name NAME]"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.arguments import (
    add_gate_arguments,
    add_moved_data_argument,
    add_place_arguments,
    chosen_locations,
)
from recsys.cli import command_parser, run_command

if TYPE_CHECKING:
    from hpo.config import Locations
    from hpo.promotion import PromotionSettings

REFUSED = 1  # exit code if the gate refused
MAX_COUNT = 100  # of candidates, and of seeds


def main(argv: Sequence[str]) -> int:
    """Promote the winner, or roll back the champion, and return the exit code.

    Raises:
        RecsysError: see `hpo.promotion.promote_study` and `roll_back`.
    """
    options = parser().parse_args(argv)
    if options.rollback and (options.force or options.dry_run):
        parser().error("--rollback goes with neither --force nor --dry-run")
    if options.force and options.dry_run:
        parser().error("--force changes the registry, --dry-run does not: give one of them")

    locations = chosen_locations(options)
    if options.rollback:
        return _run_rollback(locations, options.study_name, options.model)
    from hpo.promotion import PromotionSettings

    settings = PromotionSettings(
        options.candidates,
        options.seeds,
        options.dry_run,
        options.force,
        options.model,
        options.teachers,
    )
    return run_promotion(locations, options.study_name, data=options.data, settings=settings)


def run_promotion(
    locations: Locations,
    study_name: str | None,
    *,
    data: str | None = None,
    settings: PromotionSettings | None = None,
) -> int:
    """Promote a study's winner, print the summary, and return the exit code: 1 if the gate refused.

    Args:
        locations: addresses of the study and of MLflow.
        study_name: name of the study; None: the only one.
        data: name or path of the study's data, if it has moved.
        settings: settings of the promotion; None: the defaults.

    Raises:
        RecsysError: see `hpo.promotion.promote_study`.
    """
    from hpo.promotion import promote_study, promotion_summary

    found = promote_study(locations, study_name, data=data, settings=settings, say=_say)
    print(promotion_summary(found, locations))
    return 0 if found.passed else REFUSED


def _run_rollback(locations: Locations, study_name: str | None, model: str | None) -> int:
    from hpo.config import MODEL
    from hpo.promotion import model_of, roll_back

    model = model or (model_of(locations, study_name) if study_name else MODEL)
    before, now = roll_back(locations, _say, model)
    was = f"no longer version {before}" if before != now else "as an interrupted call began it"
    if before is None:
        was = "no version was"
    print(f"the champion of {model} is version {now} again, {was}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.promote`."""
    result = command_parser(
        "hpo.promote",
        "Let a study's best trials race with fresh seeds, refit the winner, measure it on test\n"
        "once, register it: as champion if it passes the gate, see [promotion] in the study file.",
        "--study-name two_tower-ml-100k",
    )
    add_place_arguments(result)
    add_moved_data_argument(result)
    for name, default, what in (
        ("candidates", 5, "number of the best trials that race"),
        ("seeds", 3, "number of trainings per candidate"),
    ):
        result.add_argument(
            f"--{name}",
            type=_positive_count,
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )
    result.add_argument(
        "--teachers",
        type=_teachers,
        metavar="N",
        help="models trained first for the refit to learn from; 0: none, which is the fastest "
        "(default: the study's [promotion] teachers)",
    )
    add_gate_arguments(result, "the study's [promotion] model, else two-tower")
    result.add_argument(
        "--rollback", action="store_true", help="make the previous champion the champion again"
    )
    return result


def _positive_count(text: str) -> int:
    """Return a count of candidates or seeds."""
    return _whole(text, 1, MAX_COUNT)


def _teachers(text: str) -> int:
    from hpo.config import MAX_TEACHERS

    return _whole(text, 0, MAX_TEACHERS)


def _whole(text: str, least: int, most: int) -> int:
    """Return a whole number.

    Raises:
        argparse.ArgumentTypeError: it is no whole number in least..most.
    """
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number in {least}..{most}")
    return int(text)


if __name__ == "__main__":
    run_command(main)
