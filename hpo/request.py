"""What one call of hpo.run asks for, and where it speaks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, TextIO

from rich.console import Console

from hpo.output import steadfast
from hpo.places import Places
from hpo.settings import StudyConfig


@dataclass(frozen=True)
class Request:
    """What one call of hpo.run asks for.

    Attributes:
        file_stem: of the study file; the default study name is `<file_stem>-<data>`.
        devices: torch device name of each worker.
        tracking: whether MLflow is kept up beside the study.
        report: whether the report is written at the end.
        promote: whether the winner is registered at the end.
        accept_changes: whether a study goes on with other data or another space.
        json: events on stdout, all that is for people on stderr.
        warm_start_from: a study whose best configs are tried first; None: no such study.
    """

    config: StudyConfig
    file_stem: str
    places: Places
    runner: Literal["process", "inline"]
    devices: Sequence[str]
    tracking: bool
    report: bool
    promote: bool
    accept_changes: bool = False
    json: bool = False
    warm_start_from: str | None = None


@dataclass(frozen=True)
class Speech:
    """Where the launcher speaks: to people, and to programs (one JSON object a line)."""

    people: Console
    programs: TextIO

    @classmethod
    def of(cls, request: Request) -> Self:
        """On stdout; to people on stderr where stdout is for programs."""
        programs = steadfast(sys.stdout)
        people = steadfast(sys.stderr) if request.json else programs
        return cls(Console(file=people, highlight=False, markup=False, soft_wrap=True), programs)
