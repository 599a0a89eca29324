"""A program calls the command that is named first, and imports no other."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from recsys.cli.formatting import command_parser
from recsys.cli.program import Subcommand, run_program

COMMANDS = {
    "train": Subcommand("planted_train", "train one model"),
    "score": Subcommand("planted_score", "score a model"),
}
HEARD = "def main(argv):\n    print('heard', *argv)\n    return len(argv)\n"


@pytest.fixture(autouse=True)
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_train.py").write_text(HEARD, encoding="utf-8")
    (tmp_path / "planted_score.py").write_text("raise SystemError('imported')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def exit_code(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/recsys", *words])
    with pytest.raises(SystemExit) as caught:
        run_program("recsys", "Train and score.", COMMANDS)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_rest_goes_to_the_command_and_its_code_is_the_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "train", "--help", "--dim") == 2
    assert capsys.readouterr().out == "heard --help --dim\n"


def test_help_lists_the_commands_with_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "--help") == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: recsys COMMAND [OPTION ...]\n")
    assert "  train  train one model\n  score  score a model\n" in out


def test_the_version_is_that_of_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"recsys {version('two-tower-hpo')}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "unknown command 'trian'; did you mean train? (commands: train, score)"),
        (["xyz"], "unknown command 'xyz' (commands: train, score)"),
        ([], "give a command (train, score), or --help"),
        (["--dim", "3"], "unrecognized arguments: --dim 3"),
    ],
)
def test_anything_else_is_wrong_usage(
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code(monkeypatch, *words) == 2
    assert f"recsys: error: {message}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--epoch", "2"], "unrecognized arguments: --epoch 2; did you mean --epochs?; x y --help"),
        (["--zzz"], "unrecognized arguments: --zzz; x y --help"),
        (["--epochs", "vier"], "argument --epochs: invalid int value: 'vier'; x y --help"),
    ],
)
def test_an_error_is_one_line_with_the_option_that_was_meant(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = command_parser("recsys.train", "Train.", "--epochs 3")
    parser.prog = "x y"
    parser.add_argument("--epochs", type=int)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(words)
    err = capsys.readouterr().err
    assert caught.value.code == 2
    assert err.count("\n") == 1
    assert hint in err
    assert err.endswith("--help shows all options\n")


def test_a_letter_that_the_console_lacks_ends_no_command() -> None:
    code = "from recsys.cli import run_command; run_command(lambda _: print('ñandú 日本') or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == r"\xf1and\xfa \u65e5\u672c" + "\n"
