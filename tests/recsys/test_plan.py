"""The command that says what a training takes, and the table of the documents."""

from __future__ import annotations

import json

import pytest

from recsys.errors import ConfigError
from recsys.plan import main, typical_table
from tests.support.paths import ROOT

MEDIUM = ["--users", "1000000", "--items", "50000", "--interactions", "50000000", "--dim", "64"]


def test_the_documents_table_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--table"]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed == typical_table()
    assert printed in (ROOT / "docs/capacity.md").read_text(encoding="utf-8")


def test_all_numbers_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MEDIUM, "--threads", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        *("data", "tables", "optimizer", "batch", "evaluation", "worker", "serving"),
        *("read", "epoch", "evaluation", "together", "needed"),
    ]
    assert lines[-1].startswith("needed      laptop (")


def test_programs_get_bytes_and_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MEDIUM, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["machine"] == "laptop"
    assert told["bytes"]["optimizer"] == 2 * 4 * (3 * 50_000 * 64 + 50_000)
    assert told["cpu_seconds"]["epoch"] > 50


def test_a_gpu_has_bytes_but_no_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MEDIUM, "--device", "cuda", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seconds_an_epoch"] is None
    assert told["machine"] == "one GPU"
    assert main([*MEDIUM, "--device", "cuda"]) == 0
    assert "no slope was measured on a GPU" in capsys.readouterr().out


def test_untimed_data_has_a_table_less(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MEDIUM, "--json", "--untimed"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"]["optimizer"] == 2 * 4 * (2 * 50_000 * 64 + 50_000)


def test_all_missing_and_wrong_sizes_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--users", "5"])
    assert ended.value.code == 2
    assert "give --items, --interactions, or --table" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"--users 0: at least 1\n--items -3: at least 1"):
        main(["--users", "0", "--items", "-3", "--interactions", "5"])
