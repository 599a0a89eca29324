"""A study under random faults: whatever happens to it, it ends with exactly what was asked."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from hpo.study.records import Outcome, best_complete, epochs_of
from tests.support.commands import finish, run, shop, start, study_file, study_in, workers_of

N_TRIALS = 6
FULL_SECONDS = 1.5  # so long the disk is full
ENDING_SECONDS = 20
SMALL_FILE_BYTES = 4096
MAX_RUNS = 12  # of one round; only ends a broken test


class Round:
    """One study, real processes, and faults at random moments.

    Args:
        seed: of the faults; the moments are as random as the machine.
        lock_seconds: how long another process locks the database.
        leave_stopped: whether workers that were stopped stay so, until they count as stalled.
    """

    def __init__(
        self, folder: Path, seed: int, lock_seconds: float = 3.0, *, leave_stopped: bool = False
    ) -> None:
        self._folder, self._random = folder, random.Random(seed)
        self._lock_seconds, self._leave_stopped = lock_seconds, leave_stopped
        self._call = [
            "--study", study_file(folder, epochs=120, n_trials=N_TRIALS, pruner="median"),
            "--data", shop(folder), "--workers", self._random.randint(2, 4), "--no-report",
        ]  # fmt: skip
        self.faults: list[str] = []

    def run(self, n_faults: int) -> None:
        """Break it so often, then let it end."""
        process = self._start()
        for _ in range(n_faults):
            time.sleep(self._random.uniform(0.5, 4.0))
            self._random.choice(self._all_faults())(process)
            if process.poll() is not None:
                process.communicate()
                process = self._start()
        code, out, err = finish(process)
        for _ in range(MAX_RUNS):
            if code == 0:
                return
            code, out, err = run("hpo.run", *self._call, cwd=self._folder)
        raise AssertionError(f"{self.faults}: code {code}\n{out}\n{err}")

    def _start(self) -> subprocess.Popen[str]:
        return start("hpo.run", *self._call, cwd=self._folder)

    def _all_faults(self) -> list[Callable[[subprocess.Popen[str]], None]]:
        linux = [self._fill_disk] if sys.platform == "linux" else []
        return [
            *linux,
            lambda process: self._signal_worker(process, signal.SIGKILL),
            lambda process: self._signal_worker(process, signal.SIGTERM),  # it goes on
            self._stop_worker,
            lambda process: self._signal_launcher(process, signal.SIGKILL),
            lambda process: self._signal_launcher(process, signal.SIGTERM),
            lambda process: self._signal_launcher(process, signal.SIGINT),
            self._lock_database,
            self._no_place_to_park,
        ]

    def _signal_worker(self, process: subprocess.Popen[str], number: int) -> None:
        self.faults.append(f"worker {signal.Signals(number).name}")
        if workers := workers_of(process):
            with suppress(psutil.NoSuchProcess):
                self._random.choice(workers).send_signal(number)

    def _stop_worker(self, process: subprocess.Popen[str]) -> None:
        self.faults.append("worker SIGSTOP")
        for worker in workers_of(process)[:1]:
            with suppress(psutil.NoSuchProcess):
                worker.suspend()
                if not self._leave_stopped:
                    threading.Timer(1.0, _resume, [worker]).start()

    def _signal_launcher(self, process: subprocess.Popen[str], number: int) -> None:
        self.faults.append(f"launcher {signal.Signals(number).name}")
        process.send_signal(number)
        process.communicate()

    def _lock_database(self, _: subprocess.Popen[str]) -> None:
        self.faults.append("database locked")
        path = self._folder / "studies/optuna.db"
        if not path.exists():
            return
        with suppress(sqlite3.OperationalError):  # it was busy for longer than we wait
            connection = sqlite3.connect(path, timeout=5, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(self._lock_seconds)
            connection.execute("ROLLBACK")
            connection.close()

    def _no_place_to_park(self, process: subprocess.Popen[str]) -> None:
        """As if the disk were full: nothing can be written below the folder."""
        self.faults.append("no place to park")
        place = self._folder / "studies/parked"
        if place.parent.exists() and not place.exists():
            place.write_text("in the way")
            self._signal_launcher(process, signal.SIGTERM)
            place.unlink()

    def _fill_disk(self, process: subprocess.Popen[str]) -> None:
        """For a moment no file of the launcher can grow beyond what it started with."""
        self.faults.append("disk full")
        with suppress(psutil.NoSuchProcess):
            launcher = psutil.Process(process.pid)
            before = launcher.rlimit(psutil.RLIMIT_FSIZE)
            launcher.rlimit(psutil.RLIMIT_FSIZE, (SMALL_FILE_BYTES, before[1]))
            time.sleep(FULL_SECONDS)
            launcher.rlimit(psutil.RLIMIT_FSIZE, before)

    def check(self) -> None:
        """Exactly the trials that were asked for, and MLflow tells the same."""
        study = study_in(self._folder)
        trials = study.trials
        finished = [t for t in trials if t.state.name in ("COMPLETE", "PRUNED")]
        about = f"{self.faults}: {[(t.number, t.state.name, Outcome.of(t)) for t in trials]}"
        assert len(finished) == N_TRIALS, about
        assert {t.state.name for t in trials} <= {"COMPLETE", "PRUNED", "FAIL"}, about
        told = [o.same_as for t in finished if (o := Outcome.of(t))]
        params = [
            tuple(t.params.items()) for t, same in zip(finished, told, strict=True) if not same
        ]
        assert len(set(params)) == len(params), about
        for trial in finished:
            epochs = list(trial.intermediate_values)
            assert epochs == list(range(1, len(epochs) + 1)), about
            assert epochs_of(trial)["epoch"] == epochs, about
        values = [t.value for t in trials if t.state.name == "COMPLETE" and t.value is not None]
        best = best_complete(trials)
        assert best is not None
        assert best.value == max(values), about
        for extra in ((), ("--check",)):
            code, out, err = run("hpo.sync", *extra, cwd=self._folder)
            assert code == 0, f"{about}\n{out}\n{err}"
        assert not self._left_over(), about

    def _left_over(self) -> list[psutil.Process]:
        """Workers that do not end. One that is stopped cannot see that its launcher died."""
        left = [p for p in psutil.process_iter(["cmdline"]) if self._is_ours(p)]
        for worker in left:
            _resume(worker)
        return psutil.wait_procs(left, timeout=ENDING_SECONDS)[1]

    def _is_ours(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return "hpo.runners.worker" in process.cmdline() and process.cwd() == str(self._folder)
        return False


def _resume(worker: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        worker.resume()
