"""A study does not fail because nobody reads what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hpo.commands import environment, run, shop, study_file, study_in

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
