"""The command `hpo status`, on one study at any time, beside a running launcher too."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hpo.arguments import NEWEST, add_place_arguments, chosen_locations
from recsys.cli import command_parser
from recsys.messages import to_stderr

if TYPE_CHECKING:
    from optuna import Study
    from rich.console import Console, RenderableType

    from hpo.cli.overview import Overview
    from hpo.config import Locations

WATCH_SECONDS = 2.0


def parser() -> argparse.ArgumentParser:
    """Return the parser of `hpo status`."""
    result = command_parser(
        "hpo.status",
        "Show the state of a study, its running trials and its best ones. Nothing is written.",
        "--study-name two_tower-ml-100k --watch",
    )
    add_place_arguments(result, default=NEWEST)
    result.add_argument(
        "--watch",
        action="store_true",
        help="keep the view up to date until the study has all its trials, or Ctrl-C",
    )
    result.add_argument(
        "--json", action="store_true", help="print a JSON object; with --watch one at each change"
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Show the study and return the exit code; Ctrl-C is the intended end of --watch.

    Raises:
        StudyError: there is no such study.
        SettingsError: the storage cannot be opened.
        StudyStopped: the storage failed, or the study was deleted, while it was watched.
    """
    options = parser().parse_args(argv)
    from rich.console import Console

    from hpo.study import existing_storage, load_newest, translated_storage_errors

    locations = chosen_locations(options)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with translated_storage_errors():
        study = load_newest(existing_storage(locations.storage), options.study_name, to_stderr)
        if not options.watch:
            _print(study, _overview(study, locations), console, as_json=options.json)
            return 0
        with suppress(KeyboardInterrupt):  # the intended end
            _watch(study, locations, console, as_json=options.json)
    return 0


def _overview(study: Study, locations: Locations) -> Overview:
    """Return the study's state."""
    from hpo.cli.overview import Overview

    return Overview.of(study, locations)


def _print(study: Study, overview: Overview, console: Console, *, as_json: bool) -> None:
    """Print the study's state once."""
    if as_json:
        print(json.dumps(overview.as_dict()), flush=True)
        return
    for part in view(study, overview, console):
        console.print(part)


def _watch(study: Study, locations: Locations, console: Console, *, as_json: bool) -> None:
    """Show the state again and again until the study is complete and nobody runs it.

    A terminal has one view that changes; elsewhere the state is printed at each change.
    """
    from rich.console import Group
    from rich.live import Live

    in_place = console.is_terminal and not as_json
    live = Live(console=console, auto_refresh=False) if in_place else None
    before = None
    with live or nullcontext():
        while True:
            overview = _overview(study, locations)
            if live:
                live.update(Group(*view(study, overview, console)), refresh=True)
            elif (now := (overview.state, overview.trials, overview.best)) != before:
                before = now
                _print(study, overview, console, as_json=as_json)
            if overview.state in ("complete", "moved"):
                return
            time.sleep(WATCH_SECONDS)


def view(study: Study, overview: Overview, console: Console) -> list[RenderableType]:
    """Return the lines and tables on a study.

    Args:
        study: the study.
        overview: its state.
        console: the console of the output, which sets the width.
    """
    from rich.text import Text

    from hpo.execution import result_tables
    from hpo.study import StudyRecord, read_trials

    by = f" by {overview.launcher}" if overview.state == "running" and overview.launcher else ""
    last = f"; last activity {_ago(overview.last)}" if overview.last else ""
    parts: list[RenderableType] = [
        Text(f"study {overview.name}: {overview.state}{by}; {overview.progress}{last}")
    ]
    for trial in read_trials(study):
        if trial.state == "RUNNING":
            best = f", best {max(trial.curve.values()):.4f}" if trial.curve else ""
            params = " ".join(f"{name}={trial.shown(name)}" for name in trial.params)
            parts.append(Text(f"  trial {trial.number}: epoch {len(trial.curve)}{best}, {params}"))
    return [*parts, *result_tables(study, StudyRecord.of(study), console)]


def _ago(moment: datetime) -> str:
    """Return a moment in local time and how long ago it was, in words."""
    seconds = max(0, round((datetime.now(UTC) - moment).total_seconds()))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{moment:%Y-%m-%d %H:%M} ({seconds // length} {unit}s ago)"
    return f"{moment:%H:%M:%S} ({seconds} s ago)"
