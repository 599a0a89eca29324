"""Command `hpo stop`: park a running study, from another machine too."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.arguments import ONLY, add_place_arguments, chosen_locations
from recsys.cli import command_parser

if TYPE_CHECKING:
    from optuna import Study

    from hpo.config import Locations

POLL_SECONDS = 0.5


def parser() -> argparse.ArgumentParser:
    """Return the parser of `hpo stop`."""
    result = command_parser(
        "hpo.stop",
        "Park a running study, as Ctrl-C does where it runs: its trials stop after their epoch, "
        "and the same hpo run goes on with them. The request goes through the storage.",
        "--study-name two_tower-ml-100k",
    )
    add_place_arguments(result, default=ONLY)
    result.add_argument(
        "--no-wait", action="store_true", help="leave once the launcher is asked (default: wait)"
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Ask the launcher to park the study, wait until it has, and return the exit code.

    Raises:
        StudyError: there is no such study, or its launcher cannot be asked.
        SettingsError: the storage cannot be opened.
        StudyStopped: the storage failed.
    """
    options = parser().parse_args(argv)
    from hpo.study import existing_storage, is_owned, load_named, translated_storage_errors

    locations = chosen_locations(options)
    with translated_storage_errors():
        study = load_named(existing_storage(locations.storage), options.study_name)
        if is_owned(locations.storage, study.study_name) is False:
            print(f"study {study.study_name} is not running")
            return 0
        return _stop(study, locations, wait=not options.no_wait)


def _stop(study: Study, locations: Locations, *, wait: bool) -> int:
    """Ask the launcher and wait; return the exit code: 1 if another launcher came after it.

    Raises:
        StudyError: the launcher has not said who it is.
    """
    from hpo.errors import StudyError
    from hpo.execution import ask_to_stop, last_launcher
    from hpo.study import is_owned

    name = study.study_name
    asked = last_launcher(study)
    if asked is None:
        raise StudyError(
            f"study {name!r}: its launcher has not said who it is, so it cannot be asked: it is "
            "just starting, or of an older version. Try again in a moment, or press Ctrl-C where "
            "it runs."
        )
    ask_to_stop(study, asked)
    print(f"asked process {asked.pid} on {asked.host} to park study {name}", flush=True)
    while wait and is_owned(locations.storage, name) is not False:
        now = last_launcher(study)
        if now != asked:
            print(f"it has ended, and another launcher runs study {name} now; stop that one too?")
            return 1
        time.sleep(POLL_SECONDS)
    if wait:
        print(f"study {name} has stopped; the command that started it goes on with it")
    return 0
