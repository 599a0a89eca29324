"""Where the launcher writes for people and programs: it may break, the study may not."""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import TextIO, cast


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
