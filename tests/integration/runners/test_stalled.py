"""Workers that hang: real ones, with limits of seconds instead of minutes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hpo.errors import WorkerDied
from hpo.runners import watchdog as patience, worker_process
from hpo.runners.process import ProcessRunner
from recsys.config import TrainConfig
from recsys.data.holdout_file import save_holdout
from tests.support.examples import conveyor_split

CONFIG = TrainConfig(dim=8, epochs=4, batch_size=32)
LONG = CONFIG.replace(epochs=10_000, patience=10_000)

WORKER = """
import threading, time
from hpo.runners import worker
from recsys.training.trainer import Trainer

worker.ALIVE_SECONDS = 0.2
once = [4.5]
set_up, train_epoch = Trainer.__init__, Trainer.train_epoch

def wait():
    threading.Event().wait()

def spin(seconds=1e9):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass

def slow_set_up(self, *args):
    {set_up}
    set_up(self, *args)

def slow_epoch(self):
    {epoch}
    return train_epoch(self)

Trainer.__init__, Trainer.train_epoch = slow_set_up, slow_epoch
worker.main()
"""

MakeRunner = Callable[..., ProcessRunner]


@pytest.fixture
def runner_with(tmp_path: Path) -> Iterator[MakeRunner]:
    """A runner whose worker does something of its own before each set-up and each epoch."""
    save_holdout(tmp_path / "data", conveyor_split().tuning)
    made: list[ProcessRunner] = []

    def make(set_up: str = "pass", epoch: str = "pass") -> ProcessRunner:
        runner = ProcessRunner(tmp_path / "data", "recall_at_10")
        script = WORKER.format(set_up=set_up, epoch=epoch)
        runner._command[1:3] = ["-c", script]
        made.append(runner)
        return runner

    yield make
    for runner in made:
        runner.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of two seconds, and CPU time to match."""
    monkeypatch.setattr(patience, "STALL_SECONDS", 2.0)
    monkeypatch.setattr(patience, "IDLE_CPU_SECONDS", 0.02)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("where", [{"set_up": "wait()"}, {"epoch": "wait()"}])
def test_a_first_training_that_waits_for_ever_is_stalled(
    runner_with: MakeRunner, where: dict[str, str]
) -> None:
    runner = runner_with(**where)
    with pytest.raises(WorkerDied, match=r"stalled: less than 0\.02 s of CPU time in 2 s, killed"):
        next(runner.epochs(CONFIG))
    assert runner.pid is None


@pytest.mark.usefixtures("short")
def test_an_epoch_that_takes_20_times_the_usual_is_stalled(
    runner_with: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = runner_with(epoch="self.epoch < 3 or spin()")
    epochs = runner.epochs(LONG)
    assert [next(epochs).epoch for _ in range(3)] == [1, 2, 3]
    with pytest.raises(WorkerDied, match="stalled: no epoch for 20 times the usual, killed"):
        next(epochs)
    monkeypatch.undo()  # on a busy machine, a new worker's first epoch may take seconds
    assert [next(runner.epochs(CONFIG)).epoch] == [1], "a new worker trains"


@pytest.mark.usefixtures("short")
def test_honest_work_may_take_its_time(runner_with: MakeRunner) -> None:
    """Before there are epochs to compare with, and whenever a training sets up."""
    runner = runner_with(set_up="spin(4.5)", epoch="once and spin(once.pop())")
    assert len(list(runner.epochs(CONFIG))) == 4
    worker = runner.pid
    assert len(list(runner.epochs(CONFIG.replace(epochs=1)))) == 1
    assert runner.pid == worker


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_a_stopped_worker_is_silent(
    runner_with: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = runner_with()
    epochs = runner.epochs(LONG)
    next(epochs)
    assert runner.pid is not None
    worker = psutil.Process(runner.pid)
    worker.suspend()
    monkeypatch.setattr(worker_process, "SILENCE_SECONDS", 1.0)
    with pytest.raises(WorkerDied, match="silent for 1 s, killed"):
        list(epochs)
    assert not worker.is_running()
    monkeypatch.undo()  # a new worker imports for longer than that
    assert len(list(runner.epochs(CONFIG))) == 4


@pytest.mark.usefixtures("short")
def test_another_configuration_may_take_far_longer(runner_with: MakeRunner) -> None:
    runner = runner_with(epoch="self.model.config.dim == 16 and spin(2.5)")
    assert len(list(runner.epochs(CONFIG))) == 4
    worker = runner.pid
    assert len(list(runner.epochs(CONFIG.replace(dim=16, epochs=2)))) == 2
    assert runner.pid == worker


@pytest.mark.usefixtures("short")
def test_a_model_may_compute_in_processes_of_its_own(runner_with: MakeRunner) -> None:
    work = "import time; end = time.monotonic() + 4.5\nwhile time.monotonic() < end: pass"
    run = (
        f"__import__('subprocess').run([__import__('sys').executable, '-c', {work!r}], check=True)"
    )
    runner = runner_with(epoch=f"once and once.pop() and {run}")
    assert len(list(runner.epochs(CONFIG))) == 4
