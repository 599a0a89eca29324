"""The common frame of all commands: error messages and exit codes.

Exit codes: 0 ok, 1 failed, 2 usage or bad input, 3 MLflow or the artifact store incomplete or out
of reach, 130 interrupted, 143 terminated. An expected error has its code in `exit_code`.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from recsys.errors import RecsysError

INTERRUPTED = 130


def run_command(command: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run `command(argv)` and exit with its code; print an expected error without traceback."""
    # Let torch's threads sleep while they wait for each other; by default they spin on their cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    signal.signal(signal.SIGINT, _interrupt)
    for stream in (sys.stdout, sys.stderr):  # a console may lack a letter of a name
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command(sys.argv[1:])
        sys.stdout.flush()
    except RecsysError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:  # `| head` has read enough; without dup2 Python complains at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt on Ctrl-C, but end the process at once amid an import.

    Libraries swallow exceptions while they are imported, and go on half-made or abort. No file or
    database of ours is open during an import, so the kill harms none.

    Raises:
        KeyboardInterrupt: no import is running.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os.write(2, b"interrupted\n")
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt
