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
    from hpo.promotion import Promotion
    from hpo.settings import Places

PORT = 5001


def main(argv: Sequence[str]) -> int:
    """Promote; the exit code."""
    options = parser().parse_args(argv)
    from hpo.settings import Places

    places = Places.resolve(options.storage, options.tracking_uri, options.experiment_name)
    return run_promotion(places, options.study_name, data=options.data)


def run_promotion(places: Places, study_name: str | None, *, data: str | None = None) -> int:
    """Promote and print what came out; the exit code."""
    from hpo.promotion import promote

    print(summary(promote(places, study_name, data=data), places))
    return 0


def summary(promotion: Promotion, places: Places) -> str:
    """Version, figures, and how to serve it."""
    from hpo.registry import CHAMPION, MODEL

    p = promotion
    said = "registered as" if p.is_new else "was promoted before: nothing to do. It is"
    lines = [
        f"trial {p.trial} of study {p.study} {said} {MODEL} version {p.version} (run {p.run_id})",
        *([f"the champion is version {p.champion} by now"] if p.champion != p.version else []),
        f"trained on train + validation for {p.epochs} epochs",
        "",
        "metric          validation      test  popularity on test",
    ]
    for name, value in p.test.items():
        validation = f"{p.validation[name]:.4f}" if name in p.validation else ""
        lines.append(f"{name:14}  {validation:>10}  {value:8.4f}  {p.popularity[name]:18.4f}")
    name = CHAMPION if p.champion == p.version else str(p.version)
    model = f"models:/{MODEL}{'@' if name == CHAMPION else '/'}{name}"
    return "\n".join([*lines, "", *_how_to_serve(places, p.example_user, model)])


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
        "Train the best trial on train + validation, measure it on test, register it.",
        "python -m hpo.promote --study-name two_tower-ml-100k",
    )
    add_place_arguments(result)
    add_moved_data_argument(result)
    return result


if __name__ == "__main__":
    run_command(main)
