"""Forked commands are what new interpreters are, as far as tests can tell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import FORK
from tests.support.commands import environment
from tests.support.forking import popen
from tests.support.forking.zygote import THREADS
from tests.support.mlflow_server import eventually

pytestmark = pytest.mark.skipif(not FORK, reason="commands are new interpreters here")
MODULE = "tests.support.forking.probe"


def start(folder: Path, *words: str, **more: Any) -> subprocess.Popen[str]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    env = environment(MARK="yes", **more.pop("variables", {}))
    command = [sys.executable, "-m", MODULE, *words]
    return subprocess.Popen(command, cwd=folder, env=env, text=True, **pipes, **more)


def told(folder: Path, *words: str, **more: Any) -> tuple[dict[str, Any], int, str, str]:
    """What the command says of itself, its exit code, the rest of its output and its errors."""
    process = start(folder, *words, **more)
    out, err = process.communicate("given", timeout=60)
    facts, _, rest = out.partition("\n")
    return {**json.loads(facts), "known as": process.pid}, process.returncode, rest, err


def test_a_forked_command_is_as_a_new_interpreter(tmp_path: Path) -> None:
    words = ("read", "ñ and spaces", "exit", "3")
    forked, *end = told(tmp_path, *words)
    with popen.suspended(yes=True):
        new, *expected = told(tmp_path, *words)
    assert end == expected == [3, "exit handler\n", ""]
    for facts in (forked, new):
        assert facts.pop("pid") == facts.pop("known as")
    assert (forked.pop("loaded"), new.pop("loaded")) == (True, False)
    assert forked == new
    assert (forked["parent"], forked["read"]) == (os.getpid(), "given")


def test_errors_signals_and_sessions(tmp_path: Path) -> None:
    _, code, rest, err = told(tmp_path, "raise")
    assert (code, rest) == (1, "exit handler\n")
    assert err.startswith("Traceback") and err.endswith("ValueError: as asked\n")
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        process = start(tmp_path, "wait", start_new_session=True)
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        assert facts["session"] == process.pid
        assert MODULE in psutil.Process(process.pid).cmdline()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == -number
        assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)


def test_a_forked_command_starts_commands_that_are_its_children(tmp_path: Path) -> None:
    facts, code, _, err = told(tmp_path, "start")
    assert code == 0, err
    assert facts["child"]["parent"] == facts["pid"]
    assert facts["child"]["loaded"]


def test_nothing_outlives_a_killed_command(tmp_path: Path) -> None:
    process = start(tmp_path, "wait")
    assert process.stdout is not None
    process.stdout.readline()
    family = psutil.Process(process.pid).children()
    eventually(lambda: [each.cmdline()[0] for each in family] == ["zygote"])  # it names itself
    process.kill()
    process.communicate()
    assert psutil.wait_procs(family, timeout=20)[1] == []


@pytest.mark.parametrize(
    ("more", "loaded"),
    [
        ({"variables": {"OMP_NUM_THREADS": "2"}}, True),
        ({"variables": {"PYTHONOPTIMIZE": "1"}}, False),
        ({"variables": {"OMP_DYNAMIC": "true"}}, False),
        ({"preexec_fn": os.getpid}, False),
    ],
)
def test_what_a_fork_cannot_obey_is_a_new_interpreter(
    tmp_path: Path, more: dict[str, Any], loaded: bool
) -> None:
    assert told(tmp_path, **more)[0]["loaded"] == loaded


def test_other_packages_are_a_new_interpreter(tmp_path: Path) -> None:
    (tmp_path / "hpo").mkdir()
    assert not told(tmp_path)[0]["loaded"]


def test_the_zygote_has_no_threads_with_locks(tmp_path: Path) -> None:
    told(tmp_path)
    (zygote,) = [
        each
        for each in psutil.Process().children()
        if "tests.support.forking.zygote" in each.cmdline()
    ]
    tasks = Path(f"/proc/{zygote.pid}/task").iterdir()
    names = [(task / "comm").read_text().strip() for task in tasks]
    assert len([name for name in names if name not in THREADS]) == 1
