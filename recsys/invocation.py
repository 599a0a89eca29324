"""Command lines to print, in the form in which the running command was started."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PROGRAMS = ("hpo", "recsys")


def command_words(module: str) -> tuple[str, ...]:
    """Return the words that start a command, as the running one was started.

    That is `hpo run` for the installed program, `python -m hpo run` for the package, and else
    `python -m hpo.run`, or `python -m hpo list` for a command that only the program has.

    Args:
        module: dotted name of the command's module.
    """
    program, _, name = module.partition(".")
    started = Path(sys.argv[0])
    if started.stem in PROGRAMS:
        return program, name
    is_package = started.name == "__main__.py" and started.parent.name in PROGRAMS
    if is_package or (name and find_spec(module) is None):
        return "python", "-m", program, name
    return "python", "-m", module


def command_text(module: str) -> str:
    """Return `command_words` as text, for messages and help.

    Args:
        module: dotted name of the command's module.
    """
    return " ".join(command_words(module))
