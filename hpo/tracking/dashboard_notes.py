"""Notes of a study in optuna-dashboard: the first line belongs to hpo, the rest to users.

Notes are attributes of the study, so they can also be written for finished trials. This module does
not use `optuna_dashboard.save_note`, whose import loads scikit-learn and costs every launcher two
seconds; tests read the notes back with `optuna_dashboard.get_note`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna import Study
from sqlalchemy import column, select, table

MAX_LENGTH = 2045  # characters of one attribute; longer notes have several parts
ATTRS = table("study_system_attributes", column("study_id"), column("key"), column("value_json"))
LINK = "[See it in MLflow]("


def link_line(address: str, summary: str = "") -> str:
    """Return a Markdown link to a run in MLflow, followed by a summary.

    Args:
        address: address of the run.
        summary: short text after the link; empty: only the link.
    """
    return f"{LINK}{address}){f': {summary}' if summary else ''}"


def write_link_lines(study: Study, lines: Mapping[int | None, str]) -> int:
    """Replace the first lines of notes that have others, and return how many were written.

    The first sync of a long study writes for minutes, while people write, too. So each note is read
    again directly before its write.

    Args:
        study: the study that stores the notes.
        lines: `link_line` by id of a trial (None: the study).
    """
    attrs = study._storage.get_study_system_attrs(study._study_id)
    written = 0
    for trial_id, line in lines.items():
        prefix = "dashboard:" if trial_id is None else f"dashboard:{trial_id}:"
        version, part = f"{prefix}note_ver", f"{prefix}note_str:0"
        if _changed(attrs.get(part, ""), line) is None:
            continue
        now = _attrs_now(study, part, version)
        new = _changed(now.get(part, ""), line)
        if new is None:
            continue
        study._storage.set_study_system_attr(study._study_id, part, new)
        study._storage.set_study_system_attr(study._study_id, version, now.get(version, 0) + 1)
        written += 1
    return written


def _attrs_now(study: Study, *names: str) -> dict[str, Any]:
    """Return some system attributes of a study as they are now.

    Optuna reads only all of them, and each trial has two: for each note that would be quadratic.
    """
    storage: Any = study._storage
    engine = getattr(storage, "_backend", storage).engine  # of Optuna's cache, or without one
    is_wanted = (ATTRS.c.study_id == study._study_id) & ATTRS.c.key.in_(names)
    with engine.connect() as connection:
        rows = connection.execute(select(ATTRS.c.key, ATTRS.c.value_json).where(is_wanted))
        return {name: json.loads(value) for name, value in rows}


def _changed(note: str, line: str) -> str | None:
    """Return the note with another first line; None if it has that one, or would be too long."""
    new = _with_first(note, line)
    return None if new == note or len(new) > MAX_LENGTH else new


def _with_first(note: str, line: str) -> str:
    first, newline, rest = note.partition("\n")
    if first.startswith(LINK):
        return line + newline + rest
    return f"{line}\n\n{note}" if note else line
