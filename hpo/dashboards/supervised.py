"""Run a Python module that ends with the process that started it, even one killed with -9.

    python -m hpo.dashboards.supervised MODULE ARGUMENT...

The starting process holds the other end of our stdin and never writes. When that process is gone,
the pipe closes on every operating system, and this process ends with all of its children.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from contextlib import suppress

import psutil


def main() -> None:
    """Run the module as `python -m` would."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_starter() -> None:
    os.read(0, 1)  # not sys.stdin: its lock would be held when this process ends by itself
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(1)


if __name__ == "__main__":
    main()
