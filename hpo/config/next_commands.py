"""Commands to print as next steps, quoted for the user's shell and without passwords."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from itertools import chain

from hpo.config.locations import Locations
from recsys.invocation import command_words
from recsys.passwords import without_password

COLUMNS = 80  # assumed width of a terminal


HIDDEN_HINT = "  # put the password of the database in the place of ***, or set HPO_STORAGE"

PROMOTING = "test the winner once, and register it"  # purpose of hpo.promote


def next_lines(nexts: Mapping[str, str]) -> list[str]:
    """Return commands to paste with their purposes, side by side if a terminal is wide enough.

    Args:
        nexts: the purpose of each command, by command.
    """
    width, words = max(map(len, nexts)), max(map(len, nexts.values()))
    if 2 + width + 2 + words <= COLUMNS:
        lines = [f"  {line:{width}}  {purpose}" for line, purpose in nexts.items()]
    else:
        lines = [f"  # {purpose}\n{line}" for line, purpose in nexts.items()]
    hidden = [HIDDEN_HINT] if any("***" in line for line in nexts) else []
    return ["next:", *hidden, *lines]


NO_STORAGE = ("serve", "recommend")  # commands that read only the registry
OF_DATA = ("run", "promote", "report", "replay", "retrain")  # commands that take --data
FILES = ("run", "report", "sync", "dashboard", "delete")  # commands that take --artifacts
LINKS = ("run", "sync")  # commands that write links between the two user interfaces


def command(
    name: str,
    study_name: str = "",
    locations: Locations | None = None,
    *,
    data: str = "",
    more: Mapping[str, str] | None = None,
) -> str:
    """Return a command of hpo with exactly the options that differ from the defaults.

    It begins as the running command was started: `hpo NAME` or `python -m hpo.NAME`.

    Args:
        name: name of the command.
        study_name: name of the study; "" for commands without a study.
        locations: the addresses of the study and its mirror; None: the defaults.
        data: source of the data if it differs from the study's record; else "".
        more: further options with their values, always included.
    """
    default = Locations(Locations.usual_storage(), artifacts=Locations.usual_artifacts())
    locations = locations or default
    options = {"--tracking-uri": (locations.tracking_uri, default.tracking_uri)}
    if name not in NO_STORAGE:
        options = {
            "--study-name": (study_name, ""),
            "--storage": (locations.storage, default.storage),
            **options,
            "--experiment-name": (locations.experiment, default.experiment),
        }
    if name in OF_DATA:
        options |= {"--data": (data, "")}
    if name in FILES:
        usual = default.artifacts or ""
        options |= {"--artifacts": (locations.artifacts or usual, usual)}
    if name in LINKS:
        options |= {
            "--dashboard-url": (locations.dashboard_url, default.dashboard_url),
            "--mlflow-url": (locations.mlflow_url or "", ""),
        }
    given = {option: value for option, (value, usual) in options.items() if value != usual}
    given |= more or {}
    return shell_line(*command_words(f"hpo.{name}"), *chain.from_iterable(given.items()))


def shell_line(*words: str) -> str:
    """Return the words as one line to paste, quoted for the shell and without passwords.

    Words are quoted where needed with single quotes, which POSIX shells and PowerShell both take
    literally.

    Args:
        words: the command and its arguments.
    """
    return shlex.join(without_password(word) for word in words)


def powershell_quoted(text: str) -> str:
    """Return the text quoted as one word for PowerShell."""
    return "'" + text.replace("'", "''") + "'"
