"""Summary that hpo.promote and hpo.retrain print: findings, decision, and how to serve."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.config import Locations, command, hidden_hint, powershell_quoted, shell_line
from hpo.gate import GateFindings, tables as lines
from hpo.promotion.outcome import Promotion
from hpo.registry import CHAMPION
from recsys.messages import count
from recsys.passwords import without_password

PORT = 5001


def promotion_summary(promotion: Promotion, locations: Locations) -> str:
    """Return the summary: race or drift, test figures, gate, and the next commands.

    Args:
        promotion: findings and outcome.
        locations: addresses of the study and of MLflow, for the commands.
    """
    return "\n".join([*measurement(promotion), "", *_ending(promotion, locations)])


def measurement(promotion: Promotion) -> list[str]:
    """Return the part of the summary on what was measured, which is true without a registry too.

    Args:
        promotion: findings and outcome.
    """
    found = promotion.findings
    return [
        *_occasion(found),
        "",
        *_test(promotion),
        "",
        f"by {found.objective}, paired over the same test users:",
        *lines.gate_table(found),
        *_shown("answers of", lines.list_rows(found.lists)),
        *lines.looks_lines(found),
        *found.notes,
        lines.cost_line(found),
        *lines.index_lines(found),
    ]


def _occasion(found: GateFindings) -> list[str]:
    if found.race:
        rows = lines.race_rows(found.race)
        lists = _shown("lists of trial", lines.race_lists(found.race))
        return [*lines.padded_table(lines.RACE, rows), lines.luck_line(found.race), *lists]
    return found.drift.lines if found.drift else []


def _shown(who: str, rows: list[lines.Row]) -> list[str]:
    """Return the table of what users are shown, after a blank line; nothing without rows."""
    return ["", *lines.padded_table((who, *lines.LISTS), rows)] if rows else []


def _test(promotion: Promotion) -> list[str]:
    rows = lines.metric_rows(promotion.findings)
    if not promotion.validation:
        return lines.padded_table(lines.TEST, rows)
    shown = [(*row, _validation(promotion, row[0])) for row in rows]
    return lines.padded_table((*lines.TEST, "validation, in the study"), shown)


def _validation(promotion: Promotion, metric: str) -> str:
    value = promotion.validation.get(metric)
    return "" if value is None else f"{value:.6f}"


def _ending(promotion: Promotion, locations: Locations) -> list[str]:
    """Return the lines on the decision, the model's place in the registry, and how to serve it."""
    p, r = promotion, promotion.registered
    which = f"trial {p.trial} of study {p.study}, trained for {count(p.epochs, 'epoch')}"
    if r is None:
        outcome = "passed" if p.passed else f"refused: {p.findings.reason}"
        return [
            f"{outcome}; {which}. Nothing was registered (--dry-run)",
            "next: the same command without --dry-run"
            + (" registers it" if p.passed else " and with --force REASON registers it anyway"),
        ]
    if r.rolled_back:
        was = f"measured before, as {r.model} version {r.version}, and rolled back since"
        return [
            f"{which}, was {was}; the champion is version {r.champion}",
            "to make it the champion again: --force REASON",
        ]
    is_now = "is" if r.is_new else "was measured before, so nothing was trained: it is"
    by_hand = r.role != CHAMPION and r.champion == r.version
    role = f"{CHAMPION}, whose alias was set by hand" if by_hand else r.role
    told = [f"{which}, {is_now} {r.model} version {r.version}, {role} (run {r.run_id})"]
    if r.refused:
        told.append(f"refused: {r.refused}")
    if r.forced:
        told.append(f"forced: {r.forced}")
    if r.role != CHAMPION and not by_hand:
        model = f"models:/{r.model}/{r.version}"
        trial = command("serve", locations=locations, more={"--model": model})
        return [
            *told,
            "to make it the champion anyway: the same command with --force REASON",
            f"to try it first: {trial}",
            *hidden_hint([trial]),
        ]
    if r.champion != r.version:
        told.append(f"the champion is version {r.champion} by now")
    name = f"@{CHAMPION}" if r.champion == r.version else f"/{r.version}"
    return [*told, "", *_how_to_serve(locations, p.example_user, f"models:/{r.model}{name}")]


def _quotable(question: Mapping[str, Any]) -> str:
    """Return a question as JSON that can stand between single quotes in any shell."""
    return json.dumps(question).replace("'", r"\u0027")


def _how_to_serve(locations: Locations, user: str, model: str) -> list[str]:
    serve = shell_line(
        *("mlflow", "models", "serve", "-m", model, "--env-manager", "local"),
        *("--host", "127.0.0.1", "--port", str(PORT)),
    )
    own_body = _quotable({"user_id": user, "k": 10})
    body = _quotable({"dataframe_records": [{"user_id": user}], "params": {"k": 10}})
    whole = {"--users": "all", "--out": "top.csv", "--model": model}
    own = command("serve", locations=locations, more={"--model": model})
    uri = without_password(locations.tracking_uri)
    named = locations.tracking_uri == os.environ.get("MLFLOW_TRACKING_URI")
    url = f"http://127.0.0.1:{PORT}/invocations"
    programs = str(Path(sys.executable).parent)
    hidden = shutil.which("uvicorn") is None  # mlflow looks for uvicorn on the PATH
    return [
        "serve it:",
        *hidden_hint([own]),
        f"  {own}",
        f"  curl http://127.0.0.1:8000/recommend -d '{own_body}'",
        "or write everybody's items to a file:",
        f"  {command('recommend', locations=locations, more=whole)}",
        "or with MLflow's own server, in a POSIX shell:",
        *([f'  export PATH={shlex.quote(programs)}:"$PATH"'] if hidden else []),
        *([] if named else [f"  export MLFLOW_TRACKING_URI={shlex.quote(uri)}"]),
        f"  {serve}",
        f"  curl {url} -H 'Content-Type: application/json' -d '{body}'",
        "in PowerShell:",
        *([f"  $env:PATH = {powershell_quoted(f'{programs};')} + $env:PATH"] if hidden else []),
        *([] if named else [f"  $env:MLFLOW_TRACKING_URI = {powershell_quoted(uri)}"]),
        f"  {serve}",
        f"  Invoke-RestMethod {url} -Method Post -ContentType application/json -Body '{body}'",
    ]
