"""The commands that are printed as next steps, quoted for the user's shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from sqlalchemy.engine import make_url

from hpo.config.locations import Locations

COLUMNS = 80  # of a terminal


HIDDEN = ":***@"  # what SQLAlchemy shows of a password in a URL


HIDDEN_HINT = "  # put the password of the database in the place of ***"


def next_lines(nexts: Mapping[str, str]) -> list[str]:
    """Commands to paste and what they are for, beside each other if a terminal is wide enough.

    Args:
        nexts: command -> purpose.
    """
    width, words = max(map(len, nexts)), max(map(len, nexts.values()))
    if 2 + width + 2 + words <= COLUMNS:
        lines = [f"  {line:{width}}  {purpose}" for line, purpose in nexts.items()]
    else:
        lines = [f"  # {purpose}\n{line}" for line, purpose in nexts.items()]
    hidden = [HIDDEN_HINT] if any(HIDDEN in line for line in nexts) else []
    return ["next:", *hidden, *lines]


def command(name: str, study_name: str, locations: Locations | None = None) -> str:
    """`python -m hpo.NAME`, with exactly the options that differ from the defaults.

    Args:
        name: of the command.
        study_name: "" for commands that are about no study.
        locations: None: the defaults.
    """
    default = Locations()
    locations = locations or default
    options = {
        "--study-name": (study_name, ""),
        "--storage": (locations.storage, default.storage),
        "--tracking-uri": (locations.tracking_uri, default.tracking_uri),
        "--experiment-name": (locations.experiment, default.experiment),
    }
    if name == "sync":  # it writes links, too
        options |= {
            "--dashboard-url": (locations.dashboard_url, default.dashboard_url),
            "--mlflow-url": (locations.mlflow_url or "", ""),
        }
    given = [
        f"{option} {_quoted(_shown(value))}"
        for option, (value, usual) in options.items()
        if value != usual
    ]
    return " ".join([f"python -m hpo.{name}", *given])


def _quoted(value: str) -> str:
    """Safe to paste; POSIX shells and PowerShell both take single quotes literally."""
    return shlex.quote(value)


def _shown(url: str) -> str:
    """Without the password."""
    return make_url(url).render_as_string(hide_password=True) if "://" in url else url
