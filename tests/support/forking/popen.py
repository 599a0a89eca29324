"""A Popen that has this project's commands forked; all other commands start as ever."""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

PADDING = "." * 4096  # room for the command line of a forked process
PR_SET_CHILD_SUBREAPER = 36
FORKED = {"hpo", "recsys", "mlflow", "uvicorn", "tests"}  # packages whose modules are forked
# Variables that are read while the interpreter starts or a library is imported.
EARLY = ("PYTHON", "OMP_", "KMP_", "MKL_", "OPENBLAS_", "LD_", "POLARS_", "MPL", "TORCH_", "CUDA_")
# Of these, the ones that a forked process reads again; Ray sets the last one.
OBEYED = {"PYTHONPATH", "OMP_NUM_THREADS", "PYTHONBREAKPOINT"}
LOADED_WITH = {
    "OMP_WAIT_POLICY": "passive",  # as every command sets it, see recsys.cli.entry
    "OPENBLAS_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # as every command sets it
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others start threads
    "_RJEM_MALLOC_CONF": "background_thread:false",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
NewInterpreter = subprocess.Popen


def early_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that cannot be changed after the start."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(EARLY) and name not in OBEYED
    }


class Zygote:
    """The asking side of a zygote.

    Args:
        control: the socket to it.
        early: variables with which it was started.
        process: the zygote, if it is this process's own child and still loads.
    """

    def __init__(
        self,
        control: socket.socket,
        early: dict[str, str],
        process: subprocess.Popen[bytes] | None = None,
    ) -> None:
        self._control, self._early, self._process = control, early, process
        self._is_loaded = process is None
        self._lock = threading.Lock()

    @classmethod
    def start(cls) -> Zygote:
        """Start a new one; it loads while this process goes on."""
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        left_out = {"PYTHONPATH", "OMP_NUM_THREADS"}
        env = {name: value for name, value in os.environ.items() if name not in left_out}
        command = [sys.executable, "-m", "tests.support.forking.zygote", str(its.fileno()), PADDING]
        process = NewInterpreter(
            command,
            cwd=ROOT,
            env=env | LOADED_WITH,
            stdin=subprocess.PIPE,  # as commands mostly have it: it cannot seek
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[its.fileno()],
        )
        its.close()
        return cls(mine, early_variables(env), process)

    def stop(self) -> None:
        """End it."""
        self._control.close()
        if self._process:
            self._process.communicate()

    def _error(self) -> str:
        assert self._process
        return self._process.communicate()[1].decode()

    def can_set(self, environment: Mapping[str, str]) -> bool:
        """Return True if a forked process differs in no variable that it does not read again."""
        wanted = early_variables(environment)
        names = {*wanted, *self._early} - {*LOADED_WITH}
        same = all(wanted.get(name) == self._early.get(name) for name in names)
        return same and all(wanted.get(name, value) == value for name, value in LOADED_WITH.items())

    def fork(self, request: dict[str, Any], streams: list[int]) -> int:
        """Return the id of a new process, which is a child of this one.

        Args:
            request: see `tests.support.forking.zygote.Request`.
            streams: its stdin, stdout and stderr.
        """
        with self._lock:
            if not self._is_loaded:
                assert self._control.recv(64) == b"loaded", self._error()
                self._is_loaded = True
            _adopt(yes=True)
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], streams)
                pid = int(self._control.recv(64))
                assert self._control.recv(64) == b"started"
            finally:
                _adopt(yes=False)
        return pid


def _adopt(*, yes: bool) -> None:
    """Have Linux give this process the children of its descendants that end."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0):
        raise OSError("prctl")


def install(zygote: Zygote | None) -> None:
    """Fork this process's commands from now on.

    Args:
        zygote: a running one; None: start one for the first command.
    """
    _Forking.zygote = zygote
    subprocess.Popen = _Forking  # type: ignore[misc]


def uninstall() -> None:
    """Start new interpreters from now on, and end the zygote."""
    subprocess.Popen = NewInterpreter  # type: ignore[misc]
    if _Forking.zygote:
        _Forking.zygote.stop()
    _Forking.zygote = None


@contextmanager
def suspended(yes: bool) -> Iterator[None]:
    """Start new interpreters while the body runs, if `yes`."""
    before, _Forking.is_suspended = _Forking.is_suspended, yes
    try:
        yield
    finally:
        _Forking.is_suspended = before


class _Forking(subprocess.Popen[Any]):
    """As `subprocess.Popen`, but what can be forked is forked."""

    zygote: Zygote | None = None
    is_suspended = False

    def _execute_child(self, *given: Any) -> None:
        signature = inspect.signature(NewInterpreter._execute_child)  # type: ignore[attr-defined]
        call = signature.bind(self, *given).arguments
        plain = _is_plain(call) and not _Forking.is_suspended
        words = [os.fspath(word) for word in call["args"]] if plain else []
        if not _is_forked(words, call):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        zygote = _Forking.zygote = _Forking.zygote or Zygote.start()
        environment = dict(call["env"] if call["env"] is not None else os.environ)
        if not zygote.can_set(environment):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        request = {
            "parent": os.getpid(),
            "module": words[2],
            "arguments": words[3:],
            "folder": str(Path(call["cwd"] or "").resolve()),
            "environment": environment,
            "new_session": bool(call["start_new_session"]),
        }
        ends = [call["p2cread"], call["c2pwrite"], call["errwrite"]]
        streams = [number if end == -1 else end for number, end in enumerate(ends)]
        self.pid = zygote.fork(request, streams)
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(call[name] for name in pipes))  # type: ignore[attr-defined]


def _is_plain(call: dict[str, Any]) -> bool:
    """Return True for a list of words with nothing that must happen between fork and exec."""
    none = ("preexec_fn", "pass_fds", "executable", "shell", "gid", "gids", "uid")
    unset = {"umask": -1, "process_group": -1}
    return (
        isinstance(call["args"], (list, tuple))
        and not any(call[name] for name in none)
        and all(call[name] in {None, value} for name, value in unset.items())
        and call["close_fds"]
    )


def _is_forked(words: list[str], call: dict[str, Any]) -> bool:
    """Return True for `python -m` and a module of this checkout or of its servers."""
    if words[:2] != [sys.executable, "-m"] or words[2].partition(".")[0] not in FORKED:
        return False
    environment = os.environ if call["env"] is None else call["env"]
    given = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    folders = [Path(call["cwd"] or "").resolve(), *map(Path, given)]
    homes = [folder for folder in folders if (folder / "hpo").is_dir()]
    return homes[:1] in ([], [ROOT])
