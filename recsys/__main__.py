"""The program `recsys`, also as python -m recsys."""

from __future__ import annotations

from typing import NoReturn

from recsys.cli import Subcommand, run_program

COMMANDS = {
    "train": Subcommand("recsys.train", "train one model and store it"),
    "evaluate": Subcommand("recsys.evaluate", "score a stored model again"),
    "plan": Subcommand("recsys.plan", "say what data of some size takes, and which machine"),
}


def main() -> NoReturn:
    """Run the command named by the first argument, and exit with its code."""
    run_program("recsys", "Train and score two-tower recommenders without a study.", COMMANDS)


if __name__ == "__main__":
    main()
