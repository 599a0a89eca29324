"""Write .env for docker-compose.team.yml, with new random passwords: make compose-env

An .env that exists is never changed: its passwords are those of the volumes.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

PASSWORDS = (
    "POSTGRES_PASSWORD",
    "OBJECT_STORE_PASSWORD",
    "MLFLOW_PASSWORD",
    "MLFLOW_SECRET_KEY",
    "TEAM_PASSWORD",
)
SETTINGS = {
    "COMPOSE_FILE": "docker-compose.team.yml",  # what docker compose up starts from now on
    "TEAM_HOST": "localhost",
    "TEAM_TLS": "internal",
    "DATA": "ml-100k",
    "N_TRIALS": "50",
    "WORKER_CPUS": "2",
}


def write_env(path: Path) -> None:
    """Write the file, readable by its owner alone.

    Raises:
        FileExistsError: it is there already.
    """
    drawn = {name: secrets.token_urlsafe(24) for name in PASSWORDS}
    lines = [f"{name}={value}" for name, value in {**SETTINGS, **drawn}.items()]
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main() -> int:
    """Write .env in the current folder; return the exit code."""
    path = Path(".env")
    try:
        write_env(path)
    except FileExistsError:
        print(
            ".env exists and was not changed: its passwords are those of the volumes. Move it away "
            "to start anew, with docker compose down --volumes",
            file=sys.stderr,
        )
        return 1
    print(
        "written .env, readable by you alone: set TEAM_HOST to the name of this machine, then "
        "docker compose up --build. The logins are team and hpo, with TEAM_PASSWORD and "
        "MLFLOW_PASSWORD"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
