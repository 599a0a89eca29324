"""The notes of a study in optuna-dashboard: the first line is ours, the rest is people's.

Notes are attributes of the study, so finished trials take them too. They are written here and
not with `optuna_dashboard.save_note`, whose import drags in scikit-learn and costs every launcher
two seconds; tests read them back with `optuna_dashboard.get_note`.
"""

from __future__ import annotations

from collections.abc import Mapping

from optuna import Study

MAX_LENGTH = 2045  # of one attribute; longer notes have several parts
LINK = "[See it in MLflow]("


def first_line(address: str, summary: str = "") -> str:
    """A link to a run in MLflow, in Markdown, and what there is to say in short."""
    return f"{LINK}{address}){f': {summary}' if summary else ''}"


def write_first_lines(study: Study, lines: Mapping[int | None, str]) -> int:
    """Put first lines into notes that have others; how many were written.

    Args:
        lines: id of a trial (None: the study) to its `first_line`.
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
