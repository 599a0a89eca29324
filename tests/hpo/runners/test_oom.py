"""Signal 9 from the out-of-memory killer is told from any other by Linux's own counters."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from hpo.errors import WorkerDied
from hpo.runners import oom
from hpo.runners.oom import OomKills
from hpo.runners.process import ProcessRunner
from recsys.config import TrainConfig
from recsys.data.holdout_file import save_holdout
from tests.support.examples import conveyor_split

PID = 77
GROUP = "sys/fs/cgroup/jobs/a"


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def linux(root: Path, *, group: int | None, machine: int | None) -> Path:
    """A root with these counters; None: it has no such file."""
    write(root, f"proc/{PID}/cgroup", "4:memory:/old\n0::/jobs/a\n")
    if group is not None:
        write(root, f"{GROUP}/memory.events", f"low 0\noom 9\noom_kill {group}\n")
    if machine is not None:
        write(root, "proc/vmstat", f"pgfault 12345\noom_kill {machine}\nunevictable 3\n")
    return root


def test_the_group_of_the_worker_counts(tmp_path: Path) -> None:
    kills = OomKills(PID, linux(tmp_path, group=2, machine=5))
    linux(tmp_path, group=2, machine=6)
    assert kills.reason() is None, "the machine's counter says less"
    linux(tmp_path, group=3, machine=7)
    reason = kills.reason()
    assert reason == f"oom_kill in {tmp_path / GROUP / 'memory.events'} went from 2 to 3"


def test_without_a_group_the_machine_counts(tmp_path: Path) -> None:
    kills = OomKills(PID, linux(tmp_path, group=None, machine=5))
    assert kills.reason() is None
    linux(tmp_path, group=None, machine=6)
    reason = kills.reason()
    assert reason is not None
    assert "vmstat went from 5 to 6" in reason


def test_other_systems_never_say_so(tmp_path: Path) -> None:
    kills = OomKills(PID, tmp_path)
    kills.look()
    assert kills.reason() is None


def test_what_the_worker_outlived_was_another(tmp_path: Path) -> None:
    kills = OomKills(PID, linux(tmp_path, group=0, machine=0))
    linux(tmp_path, group=1, machine=1)
    kills.look()
    assert kills.reason() is not None, "this sign of life may be of before its death"
    kills.look()
    assert kills.reason() is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to see a kill by")
@pytest.mark.parametrize("ran_out", [True, False])
def test_a_killed_worker_ran_out_of_memory_if_the_counter_rose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran_out: bool
) -> None:
    counted = 3
    monkeypatch.setattr(oom, "_oom_kills", lambda _: counted)
    save_holdout(tmp_path / "data", conveyor_split().tuning)
    config = TrainConfig(dim=8, epochs=10_000, patience=10_000)
    with closing(ProcessRunner(tmp_path / "data", "recall_at_10")) as runner:
        epochs = runner.epochs(config)
        next(epochs)
        assert runner.pid is not None
        psutil.Process(runner.pid).kill()
        counted += ran_out
        with pytest.raises(MemoryError if ran_out else WorkerDied, match="signal 9") as caught:
            list(epochs)
        assert ("because memory ran out" in str(caught.value)) is ran_out
        assert len(list(runner.epochs(config.replace(epochs=2)))) == 2, "a new worker trains"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to see a kill by")
def test_a_worker_that_we_killed_ran_out_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = iter(range(1000))
    monkeypatch.setattr(oom, "_oom_kills", lambda _: next(counted))
    save_holdout(tmp_path / "data", conveyor_split().tuning)
    with closing(ProcessRunner(tmp_path / "data", "recall_at_10")) as runner:
        epochs = runner.epochs(TrainConfig(dim=8, epochs=10_000, patience=10_000))
        next(epochs)
        runner.kill()
        with pytest.raises(WorkerDied, match="signal 9"):
            list(epochs)
