"""Folders of reports."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hpo.config import Locations
from hpo.study import folder_of_storage

MAX_BYTES = 200  # of a study's name in the name of a folder
REPORTS = "reports"  # folder beside the SQLite storage
# Devices of Windows, whatever the case: no folder can have these names there.
RESERVED = {"con", "prn", "aux", "nul"} | {
    f"{port}{n}" for port in ("com", "lpt") for n in range(10)
}


def report_folder(locations: Locations, study_name: str) -> Path:
    """Return the folder of a study's report: beside its SQLite storage, else in `studies`.

    A report that stands under a name that Windows reserves, written elsewhere, is found there.

    Args:
        locations: address of the study.
        study_name: name of the study.
    """
    reports = folder_of_storage(locations.storage) / REPORTS
    if study_name.lower() in RESERVED and (reports / study_name).is_dir():
        return reports / study_name
    return reports / folder_name(study_name)


def folder_name(study_name: str) -> str:
    """Return a study's name as the name of a single folder: it may contain slashes and dots."""
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in study_name)
    is_safe = safe == study_name and study_name.lower() not in RESERVED
    if is_safe and len(safe.encode()) <= MAX_BYTES:
        return safe
    safe = safe.encode()[:MAX_BYTES].decode(errors="ignore")  # a system takes 255 bytes
    return f"{safe}-{hashlib.sha256(study_name.encode()).hexdigest()[:8]}"  # v1.0 is not v1_0
