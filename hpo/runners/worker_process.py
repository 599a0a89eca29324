"""A worker process and its pipes; `hpo.runners.worker` defines the messages."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from hpo.errors import WorkerDied
from hpo.runners.oom import OomKills

SILENCE_SECONDS = 60.0  # a living worker sends a heartbeat every 5 s
LOOK_SECONDS = 1.0  # between two looks whether a worker without messages lives
EXIT_SECONDS = 5.0
TAIL_BYTES = 4000
SIGKILL = -9  # as an exit code; Windows has none


class WorkerProcess:
    """A worker process, started at construction.

    A thread reads the worker's messages, so that waiting for one can time out.

    Args:
        command: the command line, which ends with the worker's number of threads.

    Attributes:
        pid: process id.
        out_of_memory: True if the worker was killed because memory ran out.
    """

    def __init__(self, command: list[str]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            # Ctrl-C, and a service manager's SIGTERM to the whole group, are for the launcher,
            # which parks the trainings. A worker ends when its pipes close.
            start_new_session=True,
            env={
                "OMP_WAIT_POLICY": "passive",  # the reason is in `recsys.cli.entry`
                **os.environ,
                "PYTHONPATH": _import_path(),
                "OMP_NUM_THREADS": command[-1],
            },
        )
        self.pid = self._process.pid
        self.out_of_memory = False
        self._oom_kills = OomKills(self.pid)
        self._killed = False
        self._write_lock = threading.Lock()
        self._messages: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Queue the worker's lines, then None when its output ends."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._messages.put(line)
        self._messages.put(None)

    def send(self, command: dict[str, Any]) -> None:
        """Write a command to the worker; a dead worker is ignored."""
        assert self._process.stdin is not None
        try:
            with self._write_lock:
                self._process.stdin.write(json.dumps(command) + "\n")
                self._process.stdin.flush()
        except (OSError, ValueError):
            # The worker died between two messages or was closed; receive() raises the reason.
            return

    def receive(self) -> dict[str, Any]:
        """Wait for the next message and return it.

        Raises:
            WorkerDied: the process ended, or sent nothing for a minute and was killed.
        """
        if (line := self._next_line()) is None:
            raise WorkerDied(self._cause_of_death())
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:  # the worker died in the middle of a line
            self.kill()
            raise WorkerDied(f"the worker broke off: {line[:80]!r}") from None
        if "alive" in message:
            self._oom_kills.look()
        return message

    def _next_line(self) -> str | None:
        """Wait for the next line; None if the worker has ended.

        Processes that a model has started may hold the pipe open when the worker is gone, so its
        end is not the only sign of that.

        Raises:
            WorkerDied: there was no line for a minute, and the worker was killed.
        """
        deadline = time.monotonic() + SILENCE_SECONDS
        while True:
            has_ended = self._process.poll() is not None  # before the look at its last lines
            try:
                return self._messages.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if has_ended:
                    return None
            if time.monotonic() >= deadline:
                self.kill()
                raise WorkerDied(f"the worker was silent for {SILENCE_SECONDS:.0f} s, killed")

    def _exit_code(self) -> int:
        """Return how the process ended; kill it if it does not end by itself."""
        try:
            return self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def _cause_of_death(self) -> str:
        """Return how the process ended, with the tail of its errors."""
        code = self._exit_code()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if code == SIGKILL and not self._killed and (reason := self._oom_kills.reason()):
            self.out_of_memory = True
            return f"the system killed the worker because memory ran out ({how}; {reason})"
        tail = self._error_tail()
        return f"the worker process died ({how})" + (f": {tail}" if tail else "")

    def _error_tail(self) -> str:
        """Return the end of the worker's stderr."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - TAIL_BYTES))
        return self._errors.read().decode(errors="replace").strip()

    @property
    def was_killed(self) -> bool:
        """Return True if `kill` or a signal ended the worker (signals: POSIX only)."""
        return self._killed or (self._process.poll() or 0) < 0

    def kill(self) -> None:
        """Kill the worker at once; `receive` then raises WorkerDied."""
        self._killed = True
        self._kill_family()

    def _kill_family(self) -> None:
        """Kill the worker and what its model has started (on Windows the worker alone)."""
        if sys.platform != "win32":
            # Nobody is left of the group that the worker leads; macOS says it in the second way.
            # The system does not give the worker's number to another so soon after its end.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """Close stdin, which ends the worker; kill it if that takes too long."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            self._process.kill()  # a broken pipe: the worker is dead or dying
        self._exit_code()
        self._kill_family()
        # A process that has left the group may still hold the pipe; the thread outlives us then.
        self._reader.join(EXIT_SECONDS)
        self._errors.close()


def _import_path() -> str:
    """Return a PYTHONPATH with which the worker finds these packages, and what this process finds.

    A model of the user's own may be in the folder of a script or of a notebook. The order is that
    of this process: were the folder of installed packages first, they would hide modules of the
    user and of Python itself.
    """
    here = str(Path(__file__).resolve().parents[2])
    # Python's import system skips whatever else a notebook may have put there, such as a Path.
    found = [entry for entry in sys.path if isinstance(entry, str) and entry]
    return os.pathsep.join(dict.fromkeys([*found, here]))
