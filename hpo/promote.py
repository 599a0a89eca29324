"""Register the winner of a study: python -m hpo.promote [--study-name NAME]"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.arguments import add_moved_data_argument, add_place_arguments
from recsys.cli import run_command
from recsys.console import command_parser

if TYPE_CHECKING:
    from hpo.gate.outcome import Order, Promotion
    from hpo.settings import Places

PORT = 5001
REFUSED = 1  # exit code
MAX_COUNT = 100  # candidates, seeds
MAX_REASON = 500


def main(argv: Sequence[str]) -> int:
    """Promote, or roll back; the exit code."""
    options = parser().parse_args(argv)
    if options.rollback and (options.force or options.dry_run):
        parser().error("--rollback goes with neither --force nor --dry-run")
    if options.force and options.dry_run:
        parser().error("--force changes the registry, --dry-run does not: give one of them")
    from hpo.settings import Places

    places = Places.resolve(options.storage, options.tracking_uri, options.experiment_name)
    if options.rollback:
        return _run_rollback(places)
    from hpo.gate.outcome import Order

    order = Order(options.candidates, options.seeds, options.dry_run, options.force)
    return run_promotion(places, options.study_name, data=options.data, order=order)


def run_promotion(
    places: Places, study_name: str | None, *, data: str | None = None, order: Order | None = None
) -> int:
    """Promote and print what came out; the exit code: 1 if the gate refused the model."""
    from hpo.promotion import promote

    found = promote(places, study_name, data=data, order=order, say=_say)
    print(summary(found, places))
    return 0 if found.passed else REFUSED


def summary(promotion: Promotion, places: Places) -> str:
    """Race, test figures, gate and what follows."""
    from hpo.gate import lines

    found = promotion.findings
    rows = [(*row, _validation(promotion, row[0])) for row in lines.metric_rows(found)]
    return "\n".join([
        *lines.table(lines.RACE, lines.race_rows(found.race)),
        lines.luck_line(found.race),
        "",
        *lines.table((*lines.TEST, "validation, in the study"), rows),
        "",
        *lines.table(lines.GATE, lines.gate_rows(found)),
        *found.notes,
        lines.cost_line(found),
        "",
        *_ending(promotion, places),
    ])  # fmt: skip


def _validation(promotion: Promotion, metric: str) -> str:
    value = promotion.validation.get(metric)
    return "" if value is None else f"{value:.6f}"


def _ending(promotion: Promotion, places: Places) -> list[str]:
    """The verdict, where the model stands, and how to serve it."""
    from hpo.registry import CHAMPION, MODEL

    p, r = promotion, promotion.registered
    which = f"trial {p.trial} of study {p.study}, trained for {p.epochs} epochs"
    if r is None:
        outcome = "passed" if p.passed else f"refused: {p.findings.reason}"
        return [f"{outcome}; {which}. Nothing was registered (--dry-run)"]
    is_now = "is" if r.is_new else "was measured before, so nothing was trained: it is"
    lines = [f"{which}, {is_now} {MODEL} version {r.version}, {r.role} (run {r.run_id})"]
    if r.refused:
        lines.append(f"refused: {r.refused}")
    if r.forced:
        lines.append(f"forced: {r.forced}")
    if r.role != CHAMPION:
        return [*lines, "to make it the champion all the same: --force REASON"]
    if r.champion != r.version:
        lines.append(f"the champion is version {r.champion} by now")
    name = f"@{CHAMPION}" if r.champion == r.version else f"/{r.version}"
    return [*lines, "", *_how_to_serve(places, p.example_user, f"models:/{MODEL}{name}")]


def _run_rollback(places: Places) -> int:
    from hpo.promotion import roll_back
    from hpo.registry import MODEL

    before, now = roll_back(places, _say)
    was = f"no longer version {before}" if before != now else "as an interrupted call began it"
    print(f"the champion of {MODEL} is version {now} again, {was}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _how_to_serve(places: Places, user: str, model: str) -> list[str]:
    from recsys.mlflow_client import public_uri

    serve = f"mlflow models serve -m {model} --env-manager local --host 127.0.0.1 --port {PORT}"
    question = {"dataframe_records": [{"user_id": user}], "params": {"k": 10}}
    body = json.dumps(question).replace("'", r"\u0027")
    uri = public_uri(places.tracking_uri)
    url = f"http://127.0.0.1:{PORT}/invocations"
    programs = Path(sys.executable).parent
    hidden = shutil.which("uvicorn") is None  # mlflow looks for it on the PATH
    return [
        "serve it:",
        f"  python -m hpo.serve --model {model}{_tracking_option(places)}",
        "or with MLflow's own server, in a POSIX shell:",
        *([f'  export PATH="{programs}:$PATH"'] if hidden else []),
        f"  export MLFLOW_TRACKING_URI='{uri}'",
        f"  {serve}",
        f"  curl {url} -H 'Content-Type: application/json' -d '{body}'",
        "in PowerShell:",
        *([f'  $env:PATH = "{programs};$env:PATH"'] if hidden else []),
        f"  $env:MLFLOW_TRACKING_URI = '{uri}'",
        f"  {serve}",
        f"  Invoke-RestMethod {url} -Method Post -ContentType application/json -Body '{body}'",
    ]


def _tracking_option(places: Places) -> str:
    from recsys.mlflow_client import public_uri

    uri = places.tracking_uri
    return "" if uri == type(places).tracking_uri else f" --tracking-uri {public_uri(uri)}"


def parser() -> argparse.ArgumentParser:
    """All options of `python -m hpo.promote`."""
    result = command_parser(
        "hpo.promote",
        "Let a study's best trials race with fresh seeds, refit the winner, measure it on test\n"
        "once, register it: as champion if it passes the gate, see [promotion] in the study file.",
        "python -m hpo.promote --study-name two_tower-ml-100k",
    )
    add_place_arguments(result)
    add_moved_data_argument(result)
    for name, default, what in (
        ("candidates", 5, "so many of the best trials race"),
        ("seeds", 3, "trainings of each candidate"),
    ):
        result.add_argument(
            f"--{name}",
            type=_count,
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )
    result.add_argument(
        "--dry-run", action="store_true", help="measure and judge, but leave MLflow as it is"
    )
    result.add_argument(
        "--force",
        type=_reason,
        metavar="REASON",
        help="make it the champion whatever the gate says; the reason is kept as a tag",
    )
    result.add_argument(
        "--rollback", action="store_true", help="make the previous champion the champion again"
    )
    return result


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_COUNT):
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number in 1..{MAX_COUNT}")
    return int(text)


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not 1 <= len(reason) <= MAX_REASON:
        raise argparse.ArgumentTypeError(
            f"{len(reason)} characters: give a reason of 1..{MAX_REASON}, for instance "
            "'the old one recommends discontinued items'"
        )
    return reason


if __name__ == "__main__":
    run_command(main)
