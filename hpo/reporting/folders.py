"""Folders of reports."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hpo.config import Locations
from hpo.study import folder_of_storage

MAX_BYTES = 200  # of a study's name in the name of a folder
REPORTS = "reports"  # folder beside the SQLite storage


def report_folder(locations: Locations, study_name: str) -> Path:
    """Return the folder of a study's report: beside its SQLite storage, else in `studies`.

    Args:
        locations: address of the study.
        study_name: name of the study.
    """
    return folder_of_storage(locations.storage) / REPORTS / folder_name(study_name)


def folder_name(study_name: str) -> str:
    """Return a study's name as the name of a single folder: it may contain slashes and dots."""
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in study_name)
    if safe == study_name and len(safe.encode()) <= MAX_BYTES:
        return safe
    safe = safe.encode()[:MAX_BYTES].decode(errors="ignore")  # a system takes 255 bytes
    return f"{safe}-{hashlib.sha256(study_name.encode()).hexdigest()[:8]}"  # v1.0 is not v1_0
