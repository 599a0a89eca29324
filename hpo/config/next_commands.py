"""Commands to print as next steps, quoted for the user's shell and without passwords."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from itertools import chain

from hpo.config.locations import Locations
from recsys.invocation import command_words
from recsys.passwords import without_password

COLUMNS = 80  # assumed width of a terminal


HIDDEN_HINT = "  # put the password in the place of ***, or set {}"
VARIABLES = {
    "--storage": "HPO_STORAGE and leave the option out",
    "--tracking-uri": "MLFLOW_TRACKING_URI and leave the option out",
    "--data": "the variable that --data named",
}

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
    return ["next:", *hidden_hint(nexts), *lines]


def hidden_hint(lines: Iterable[str]) -> list[str]:
    """Return a line on what to put in the place of hidden passwords; no line if there are none.

    Args:
        lines: commands to paste.
    """
    text = "\n".join(lines)
    cures = [cure for option, cure in VARIABLES.items() if re.search(rf"{option} \S*\*\*\*", text)]
    return [HIDDEN_HINT.format(" or ".join(cures or ["its variable"]))] if "***" in text else []


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
    default = Locations(
        Locations.usual_storage(),
        Locations.usual_tracking(),
        artifacts=Locations.usual_artifacts(),
    )
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

    The shell is PowerShell on Windows, where even a comma has a meaning, and a POSIX shell
    elsewhere.

    Args:
        words: the command and its arguments.
    """
    public = [without_password(word) for word in words]
    if os.name == "nt":
        return " ".join(
            word if _PLAIN.fullmatch(word) else powershell_quoted(word) for word in public
        )
    return shlex.join(public)


_PLAIN = re.compile(r"[\w./:\\-][\w./:=\\-]*", re.ASCII)  # PowerShell takes it as it is


def powershell_quoted(text: str) -> str:
    """Return the text quoted as one word for PowerShell."""
    return "'" + text.replace("'", "''") + "'"
