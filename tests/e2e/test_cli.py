"""Ctrl-C ends a command as an interruption, whatever a library does with exceptions."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from recsys.cli.entry import INTERRUPTED
from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def run(folder: Path, main: str, **modules: str) -> subprocess.CompletedProcess[str]:
    """A command whose main is this; `modules` can be imported by it."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    program = f"""
        import os, signal
        from recsys.cli.entry import run_command

        def main(argv):
            {main}
            return 0

        run_command(main)
    """
    (folder / "command.py").write_text(textwrap.dedent(program))
    return subprocess.run(
        [sys.executable, str(folder / "command.py")], cwd=folder, capture_output=True, text=True,
        env={"PYTHONPATH": f"{ROOT}:{folder}"}, check=False, timeout=60,
    )  # fmt: skip


def test_ctrl_c_amid_an_import_that_swallows_it(tmp_path: Path) -> None:
    greedy = """
        import os, signal
        try:
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(1000))
        except BaseException:
            pass
    """
    done = run(tmp_path, "import greedy; print('went on')", greedy=greedy)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "interrupted\n")


def test_ctrl_c_at_work_cleans_up(tmp_path: Path) -> None:
    work = """
        import os, signal

        def work():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                sum(range(1000))
            finally:
                print("cleaned up")
    """
    done = run(tmp_path, "from work import work; work()", work=work)
    assert (done.returncode, done.stderr) == (INTERRUPTED, "interrupted\n")
    assert done.stdout == "cleaned up\n"
