"""Notes of a study in optuna-dashboard: the first line belongs to hpo, the rest to users.

Notes are attributes of the study, so they can also be written for finished trials. This module does
not use `optuna_dashboard.save_note`, whose import loads scikit-learn and costs every launcher two
seconds; tests read the notes back with `optuna_dashboard.get_note`.
"""

from __future__ import annotations

from collections.abc import Mapping

from optuna import Study

MAX_LENGTH = 2045  # characters of one attribute; longer notes have several parts
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

    Args:
        study: the study that stores the notes.
        lines: `link_line` by id of a trial (None: the study).
    """
    attrs = study._storage.get_study_system_attrs(study._study_id)
    written = 0
    for trial_id, line in lines.items():
        prefix = "dashboard:" if trial_id is None else f"dashboard:{trial_id}:"
        version, part = f"{prefix}note_ver", f"{prefix}note_str:0"
        old = attrs.get(part, "")
        new = _with_first(old, line)
        if new == old or len(new) > MAX_LENGTH:
            continue
        study._storage.set_study_system_attr(study._study_id, part, new)
        study._storage.set_study_system_attr(study._study_id, version, attrs.get(version, 0) + 1)
        written += 1
    return written


def _with_first(note: str, line: str) -> str:
    first, newline, rest = note.partition("\n")
    if first.startswith(LINK):
        return line + newline + rest
    return f"{line}\n\n{note}" if note else line
