"""The request to the launcher, and its output streams, which may break without harm to a study."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self, TextIO, cast

from rich.console import Console

from hpo.config import Locations, StudyConfig
from hpo.execution.listeners import TrialEnd
from hpo.runners import RayCluster


def steadfast(stream: TextIO) -> TextIO:
    """Wrap a stream so that its break (a pipe closed by `| head`, a full disk) is no error.

    Output after the break is lost; one line on stderr says so. Characters missing in the stream's
    encoding are escaped. **Thread-safe**, since each slot reports its trials from its own thread.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a study may be called ñandú
    return cast("TextIO", _Output(stream))


class _Output(io.TextIOBase):
    """A text stream that drops all output after the first error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock = stream, threading.Lock()
        self._lost = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding of the stream."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Return True if the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write the text, or drop it after a break; return its length."""
        with self._lock:
            if not self._lost:
                try:
                    self._stream.write(text)
                except OSError as error:
                    self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush the stream unless it is broken."""
        with self._lock:
            if not self._lost:
                try:
                    self._stream.flush()
                except OSError as error:
                    self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Drop all further output, and say so on stderr."""
        self._lost = True
        # redirect the descriptor: the stream still holds text and would write it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        if self._stream is not sys.stderr:
            print(f"the output broke ({error.strerror}); the study goes on", file=sys.stderr)


SAME_CALL = "the same call of hpo.tune"  # what to do again after a call from Python


@dataclass(frozen=True)
class Request:
    """The request of one call of hpo.run.

    Attributes:
        config: the study's config.
        file_stem: stem of the study file; the default study name is `<file_stem>-<data>`.
        locations: the addresses of the study and its MLflow mirror.
        runner: the kind of runner.
        devices: torch device name of each worker; for "ray" only --device until it has joined.
        tracking: True to mirror the study into MLflow while it runs.
        report: True to write the report at the end.
        promote: True to register the winner at the end.
        accept_changes: True to continue a study with other data, split, seed, space or constraints.
        json: True for events on stdout and messages for people on stderr.
        warm_start_from: name of a study with configs to try first; None: no such study.
        again: the command line of the call, for the user to paste.
        takes_signals: True for a command, which parks on SIGINT and SIGTERM; False for a call from
            a program or notebook, which parks on KeyboardInterrupt.
        quiet: True to print nothing for people.
        callbacks: functions called with each trial that ends, one at a time.
        ray_address: address of the Ray cluster, see `hpo.runners.joined_ray`.
        cluster: the joined Ray cluster; None with the other runners.
    """

    config: StudyConfig
    file_stem: str
    locations: Locations
    runner: Literal["process", "inline", "ray"]
    devices: Sequence[str]
    tracking: bool
    report: bool
    promote: bool
    accept_changes: bool = False
    json: bool = False
    warm_start_from: str | None = None
    again: str = "python -m hpo.run"
    takes_signals: bool = True
    quiet: bool = False
    callbacks: Sequence[Callable[[TrialEnd], None]] = ()
    ray_address: str = "auto"
    cluster: RayCluster | None = None


@dataclass(frozen=True)
class Output:
    """The output of the launcher.

    Attributes:
        console: console for messages to people.
        events: stream for events, one JSON object per line.
    """

    console: Console
    events: TextIO

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the output on stdout; with `request.json` messages for people go to stderr."""
        stdout = steadfast(sys.stdout)
        for_people = steadfast(sys.stderr) if request.json else stdout
        console = Console(
            file=for_people,
            highlight=False,
            markup=False,
            soft_wrap=True,
            force_jupyter=False,  # text in the cell, as in a log; the view is NotebookProgress
            quiet=request.quiet,
        )
        return cls(console, stdout)
