"""A program of several commands, each of which is imported only when it is called."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import NamedTuple, NoReturn

from recsys.cli.entry import run_command
from recsys.invocation import command_words

DISTRIBUTION = "two-tower-hpo"


class Subcommand(NamedTuple):
    """A command of a program.

    Attributes:
        module: dotted name of the module whose `main` runs the command.
        summary: purpose of the command in one line.
    """

    module: str
    summary: str


def run_program(name: str, description: str, commands: Mapping[str, Subcommand]) -> NoReturn:
    """Run the command named by the first argument, and exit with its code.

    Args:
        name: name of the program.
        description: first paragraph of its help.
        commands: the commands by name, in the order of the help.
    """
    run_command(partial(_dispatch, name, description, commands))


def _dispatch(
    name: str, description: str, commands: Mapping[str, Subcommand], argv: Sequence[str]
) -> int:
    """Call the `main` of the command that `argv` begins with; return the exit code."""
    if argv and argv[0] in commands:
        code: int = import_module(commands[argv[0]].module).main(argv[1:])
        return code
    parser = _parser(name, description, commands)
    if argv and not argv[0].startswith("-"):
        near = difflib.get_close_matches(argv[0], commands, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        parser.error(f"unknown command {argv[0]!r}{hint} (commands: {', '.join(commands)})")
    if not parser.parse_args(argv).version:
        parser.error(f"give a command ({', '.join(commands)}), or --help")
    from importlib.metadata import version

    print(f"{name} {version(DISTRIBUTION)}")
    return 0


def _parser(
    name: str, description: str, commands: Mapping[str, Subcommand]
) -> argparse.ArgumentParser:
    """Return the parser of the program itself, whose help lists the commands."""
    *before, _ = command_words(f"{name}.")
    program = " ".join(before)
    width = max(map(len, commands))
    lines = [f"  {command:{width}}  {about.summary}" for command, about in commands.items()]
    result = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} COMMAND [OPTION ...]",
        description=description,
        epilog="\n".join(["commands:", *lines, "", f"{program} COMMAND --help tells more."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("--version", action="store_true", help="print the version and exit")
    return result
