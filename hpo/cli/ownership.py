"""Ownership of a whole study, for commands that remove or move it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hpo.config import Locations, command
from hpo.errors import StudyError
from hpo.study import LockHeld, exclusive, exclusive_within

LOOK_SECONDS = 2.0  # `hpo list` and `hpo status` hold the lock of a study for a moment


@contextmanager
def sole_owner(locations: Locations, name: str, deed: str) -> Iterator[None]:
    """Lock a study, or an unused study name, while the block runs: nobody trains or syncs it.

    Args:
        locations: places of the study.
        name: name of the study.
        deed: participle of what the block does with it, for the error: "deleted", "moved".

    Raises:
        StudyError: a launcher owns it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive_within(locations.storage, name, LOOK_SECONDS))
        except LockHeld as error:
            stop = command("stop", name, locations)
            told = f"{error}, so it is not {deed}; stop it first: {stop}"
            raise StudyError(told) from None
        # a sync takes a moment, so wait for its end without a message
        stack.enter_context(exclusive(locations.storage, name, role="sync", on_wait=lambda _: None))
        yield
