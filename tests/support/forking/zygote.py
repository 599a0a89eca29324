"""The loaded interpreter, which forks a process for each command that a test starts.

    python -m tests.support.forking.zygote SOCKET PADDING

A request holds the module, arguments, folder and environment, and the three standard streams. The
process that runs the command is made of this one while it has a single thread, and it belongs to
the asking process: `waitpid`, signals and process groups are as after `subprocess.Popen`. The
module then runs as `python -m MODULE` runs it: exceptions, exit code, threads, exit handlers.

A forked command differs from a new interpreter in this: modules are loaded that it may not need, so
it cannot show what a command imports and how long that takes; OpenBLAS has one thread; after its
exit handlers it ends without taking modules apart; /proc/PID/environ is this interpreter's. `popen`
says when a new interpreter is started instead.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.support.forking import popen

BYTES = 1 << 18  # of a request: an environment takes a tenth
LIBRARIES = (
    *("torch", "optuna", "scipy.stats", "sklearn.ensemble", "matplotlib.pyplot", "faiss"),
    *("sqlalchemy", "pandas", "polars", "rich.live", "mlflow", "mlflow.store.db.utils"),
    *("mlflow.store.tracking.sqlalchemy_store", "fastapi", "uvicorn", "alembic.command"),
    *(
        "flask",
        "flask.cli",
        "aiohttp",
        "pydantic.v1",
        "sympy",
        "optuna.importance",
        "PIL.JpegImagePlugin",
        "rich._emoji_codes",
    ),
)
# Polars starts a thread that waits for files of data larger than memory; a fork lacks it.
THREADS = {"polars-ooc-clea"}
STANDARD = sys.path[1:]  # without the folder in which this program was started
EARLY = popen.early_variables(os.environ)


@dataclass
class Request:
    """A command to run.

    Attributes:
        parent: id of the process that starts it.
        environment: all its variables.
        new_session: True starts a session of its own.
    """

    parent: int
    module: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    new_session: bool


def load() -> None:
    """Import what commands import, except commands and what needs Ray."""
    for name in LIBRARIES:
        importlib.import_module(name)
    import hpo
    import recsys

    for package in (hpo, recsys):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            last = found.name.rpartition(".")[2]
            if not last.startswith(("ray_", "__main__")):
                importlib.import_module(found.name)
    _use_databases()


def _use_databases() -> None:
    """Have SQLAlchemy work out its mappings, which takes half a second."""
    from mlflow.store.tracking.dbmodels import models as _  # noqa: F401
    from optuna.storages import RDBStorage
    from sqlalchemy.orm import configure_mappers

    RDBStorage("sqlite:///:memory:").remove_session()
    configure_mappers()


def check_threads() -> None:
    """Refuse to fork beside threads, whose locks no thread of a fork would release.

    Raises:
        RuntimeError: a library has started one.
    """
    tasks = [entry for entry in Path("/proc/self/task").iterdir() if entry.name != str(os.getpid())]
    names = {(task / "comm").read_text().strip() for task in tasks}
    if names - THREADS:
        raise RuntimeError(f"a fork needs a single thread, these run: {sorted(names - THREADS)}")


def serve(control: socket.socket) -> Request:
    """Fork processes for requests until nobody can ask; return in each of these processes.

    A process in between ends at once, whereupon Linux gives the new one to the asking process.
    """
    while True:
        text, streams, *_ = socket.recv_fds(control, BYTES, 3)
        if not text:
            os._exit(0)
        between = os.fork()
        if not between:
            new = os.fork()
            if new:
                control.send(str(new).encode())
                os._exit(0)
            request = Request(**json.loads(text))
            control.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            while os.getppid() != request.parent:
                time.sleep(0.0005)
            return request
        for stream in streams:
            os.close(stream)
        os.waitpid(between, 0)
        control.send(b"started")


def become(request: Request) -> None:
    """Make this process what a new interpreter would be; a copy stays for commands of its own."""
    if request.new_session:
        os.setsid()
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():
        mine.close()
        os.setsid()
        rename(["zygote"])
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        os.close(nowhere)
        return become(serve(its))
    its.close()
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    popen.install(popen.Zygote(mine, EARLY))
    words = [sys.executable, "-m", request.module, *request.arguments]
    sys.orig_argv[:], sys.argv[:] = words, words[2:]
    folders = filter(None, request.environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [request.folder, *folders, *STANDARD]
    rename(words)
    import numpy as np
    import torch

    np.random.seed()  # noqa: NPY002
    if threads := request.environment.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    if not hasattr(sys.modules.get(request.module), "__path__"):  # of a package runs __main__
        sys.modules.pop(request.module, None)
    # Polars has replaced the handler by one after which a wait for a lock goes on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    return None


def rename(words: list[str]) -> None:
    """Write a command line to where `ps` reads it."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    line = b"\0".join(word.encode() for word in words)[: end - start - 1]
    ctypes.memmove(start, line.ljust(end - start, b"\0"), end - start)


def main() -> None:
    """Load, serve, and in each forked process run its command."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # of the terminal, for all
    control = socket.socket(fileno=int(sys.argv[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load()
    gc.collect()
    gc.freeze()
    check_threads()
    control.send(b"loaded")
    become(serve(control))
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        leave(end.code)
    leave(0)


def leave(code: object) -> NoReturn:
    """End as the interpreter does, but do not take modules apart, which takes half a second."""
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = 120  # as the interpreter says it
    os._exit((code or 0) & 255)


if __name__ == "__main__":
    main()
