"""What can happen around a study: its reader leaves, its storage breaks or goes, Ctrl-C for all."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.execution.request import steadfast
from hpo.study.records import Outcome
from tests.support.commands import (
    PATIENCE_SECONDS,
    environment,
    finish,
    in_mid_training,
    run,
    shop,
    start,
    storage_in,
    study_file,
    study_in,
    workers_of,
)
from tests.support.forking import popen
from tests.support.mlflow_server import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")


def command(folder: Path, *extra: str) -> list[str]:
    call = ["--data", shop(folder), "--study", study_file(folder), "--no-tracking", "--no-report"]
    return [sys.executable, "-m", "hpo.run", *map(str, call), "--workers", "2", *extra]


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_a_reader_that_goes_away(tmp_path: Path, extra: list[str]) -> None:
    process = subprocess.Popen(
        command(tmp_path, *extra), cwd=tmp_path, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(60) == 0, err
    assert err.count("the output broke (Broken pipe); the study goes on") == 1
    assert "Traceback" not in err
    assert [trial.state.name for trial in study_in(tmp_path).trials] == ["COMPLETE"] * 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_under_the_log(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(tmp_path), cwd=tmp_path, env=environment(), text=True, check=False,
            stdout=full, stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the output broke (No space left on device)" in done.stderr
    assert len(study_in(tmp_path).trials) == 4


def test_letters_that_the_output_cannot_show() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    output = steadfast(stream)
    print("study ñandú", file=output, flush=True)
    assert stream.buffer.getvalue() == rb"study \xf1and\xfa" + os.linesep.encode()


def test_a_damaged_storage_is_called_damaged(tmp_path: Path) -> None:
    call = command(tmp_path)[3:]
    assert run("hpo.run", *call, cwd=tmp_path)[0] == 0
    path = tmp_path / "studies/optuna.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    content = bytearray(path.read_bytes())
    content[8192:] = bytes(i % 251 for i in range(len(content) - 8192))
    path.write_bytes(content)
    for module in ("hpo.report", "hpo.sync", "hpo.run"):
        extra = call if module == "hpo.run" else []
        code, out, err = run(module, *extra, cwd=tmp_path)
        assert code == 2, out + err
        assert "database disk image is malformed" in err
        assert "Traceback" not in err


def test_a_storage_that_is_deleted_in_mid_study_is_no_success(tmp_path: Path) -> None:
    toml = study_file(tmp_path, epochs=600)
    call = ["--data", shop(tmp_path), "--study", toml, "--no-tracking", "--no-report"]
    process = start("hpo.run", *call, "--workers", 2, cwd=tmp_path)
    with in_mid_training(process, storage_in(tmp_path)):
        for path in (tmp_path / "studies").glob("optuna.db*"):
            path.unlink()
    code, out, err = finish(process)
    assert code == 1, out + err
    assert (
        "the study is no longer this launcher's (studies/optuna.db was deleted or replaced)" in err
    )
    assert run("hpo.run", *call, "--n-trials", 1, "--set", "base.epochs=2", cwd=tmp_path)[0] == 0


def test_ctrl_c_to_the_whole_group_parks(tmp_path: Path) -> None:
    """A terminal sends it to the workers, too, and may send it while they still import."""
    call = command(tmp_path)[2:]
    toml = study_file(tmp_path, epochs=5000)
    for number in (signal.SIGINT, signal.SIGTERM):
        for reported in (False, True):
            with popen.suspended(yes=not reported):  # forked ones import nothing
                process = subprocess.Popen(
                    [sys.executable, "-m", *call, "--study", str(toml)], cwd=tmp_path,
                    env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    start_new_session=True,
                )  # fmt: skip
            eventually(lambda p=process: bool(workers_of(p)), PATIENCE_SECONDS, 0.1)
            if reported:
                with in_mid_training(process, storage_in(tmp_path)):
                    pass
            os.killpg(process.pid, number)
            code, out, err = finish(process)
            assert code == 128 + number, out + err
            assert "Traceback" not in out + err
    causes = [Outcome.of(trial) for trial in study_in(tmp_path).trials]
    assert not [outcome for outcome in causes if outcome and outcome.cause == "worker-died"]
    states = {trial.state.name for trial in study_in(tmp_path).trials}
    assert states <= {"WAITING", "FAIL"}
