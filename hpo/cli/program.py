"""The commands of the program `hpo`."""

from __future__ import annotations

from typing import NoReturn

from recsys.cli import Subcommand, run_program

DESCRIPTION = "Tune two-tower recommenders: search, watch, report, promote, serve."
COMMANDS = {
    "run": Subcommand("hpo.run", "start a study, or continue it"),
    "init": Subcommand("hpo.cli.init", "write a shipped study file out, to edit it"),
    "list": Subcommand("hpo.cli.list_studies", "list the studies of a storage"),
    "status": Subcommand("hpo.cli.status", "show a study's state and best trials; --watch"),
    "stop": Subcommand("hpo.cli.stop", "park a running study, from any machine"),
    "report": Subcommand("hpo.report", "write what a study found; or export its trials"),
    "compare": Subcommand("hpo.compare", "show two studies side by side"),
    "dashboard": Subcommand("hpo.dashboard", "serve optuna-dashboard and the MLflow UI"),
    "sync": Subcommand("hpo.sync", "make MLflow equal to the study, after an outage"),
    "replay": Subcommand("hpo.replay", "train a stored trial again, bit for bit"),
    "promote": Subcommand("hpo.promote", "race the best trials, refit, test once, register"),
    "retrain": Subcommand("hpo.retrain", "train the champion's recipe on today's data"),
    "serve": Subcommand("hpo.serve", "answer over HTTP with the champion"),
    "recommend": Subcommand("hpo.recommend", "write or show the top items of users"),
    "copy-study": Subcommand("hpo.cli.copy_study", "move a study to another storage"),
    "delete": Subcommand("hpo.cli.delete", "delete a study with its files"),
}


def main() -> NoReturn:
    """Run the command named by the first argument, and exit with its code."""
    run_program("hpo", DESCRIPTION, COMMANDS)
