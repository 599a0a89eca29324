"""Where the launcher writes for people and programs: it may break, the study may not."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, TextIO, cast

from rich.console import Console

from hpo.config.locations import Locations
from hpo.config.study_config import StudyConfig


def steadfast(stream: TextIO) -> TextIO:
    """The stream, given up when it breaks: `| head` has read enough, a disk is full.

    What comes after that is lost; stderr says so once. Letters that its encoding lacks are escaped.
    **Thread-safe**, since slots tell of their trials from threads of their own.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a study may be called ñandú
    return cast("TextIO", _Output(stream))


class _Output(io.TextIOBase):
    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock = stream, threading.Lock()
        self._lost = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        with self._lock:
            if not self._lost:
                try:
                    self._stream.write(text)
                except OSError as error:
                    self._give_up(error)
        return len(text)

    def flush(self) -> None:
        with self._lock:
            if not self._lost:
                try:
                    self._stream.flush()
                except OSError as error:
                    self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._lost = True
        # the stream still holds text, which it would try to write again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        if self._stream is not sys.stderr:
            print(f"the output broke ({error.strerror}); the study goes on", file=sys.stderr)


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
        again: the command that was called, to paste.
    """

    config: StudyConfig
    file_stem: str
    locations: Locations
    runner: Literal["process", "inline"]
    devices: Sequence[str]
    tracking: bool
    report: bool
    promote: bool
    accept_changes: bool = False
    json: bool = False
    warm_start_from: str | None = None
    again: str = "python -m hpo.run"


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
