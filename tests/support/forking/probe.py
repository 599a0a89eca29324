"""A command that tells what it is, for tests of forking.

python -m tests.support.forking.probe [exit CODE | raise | wait | start]
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from pathlib import Path


def main(words: list[str]) -> int:
    atexit.register(print, "exit handler")
    facts = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "words": sys.argv[1:],
        "folder": str(Path.cwd()),
        "first": sys.path[0],
        "mark": os.environ.get("MARK"),
        "environment": sorted(os.environ),
        "loaded": "torch" in sys.modules,
        "main": sys.modules["__main__"].__name__ + " " + str(__spec__ and __spec__.name),
    }
    if "read" in words:
        facts["read"] = sys.stdin.read()
    if "start" in words:
        command = [sys.executable, "-m", "tests.support.forking.probe"]
        facts["child"] = json.loads(subprocess.check_output(command, text=True).splitlines()[0])
    print(json.dumps(facts), flush=True)
    if "wait" in words:
        threading.Event().wait()
    if "raise" in words:
        raise ValueError("as asked")
    return int(words[-1]) if "exit" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
