"""Small studies through `hpo.tune`, trained in this process, and what their trials say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

import hpo
from hpo import StudyResult
from hpo.study.records import Attempt
from tests.support.commands import shop, study_file


def tune_here(folder: Path, **arguments: Any) -> StudyResult:
    """A small study in a folder, trained in this process, without MLflow."""
    given: dict[str, Any] = {
        "data": shop(folder),
        "study": study_file(folder, epochs=2),
        "storage": folder / "optuna.db",
        "runner": "inline",
        "device": "cpu",
        "tracking": False,
    }
    return hpo.tune(**{**given, **arguments})


def attempt_of(trial: FrozenTrial) -> Attempt:
    attempt = Attempt.of(trial)
    assert attempt is not None
    return attempt
