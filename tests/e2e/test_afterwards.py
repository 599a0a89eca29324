"""What follows a study: its report, also if the launcher died before it, and its promotion."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hpo.run import main
from tests.support.commands import run, shop, study_file


def test_a_report_that_was_missed_is_written_by_the_next_run(tmp_path: Path) -> None:
    call = ["--data", shop(tmp_path), "--study", study_file(tmp_path), "--no-tracking"]
    call += ["--workers", "2"]
    page = tmp_path / "studies/reports/tiny-interactions/report.html"
    assert run("hpo.run", *call, "--no-report", cwd=tmp_path)[0] == 0  # as if it had died here
    assert not page.exists()
    code, out, err = run("hpo.run", *call, cwd=tmp_path)
    assert (code, "already complete" in out, "report: " in out) == (0, True, True), out + err
    assert page.exists()
    code, out, _ = run("hpo.run", *call, cwd=tmp_path)
    assert (code, "report: " in out) == (0, False)
    code, out, _ = run("hpo.run", *call, "--n-trials", 5, cwd=tmp_path)
    assert (code, "report: " in out) == (0, True)


def test_ctrl_c_leaves_the_report_out_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hpo.execution.launcher.report_at_end", interrupted)
    call = ["--data", shop(tmp_path), "--study", study_file(tmp_path), "--no-tracking"]
    call += ["--study-name", "a[bold]b [/x]", "--runner", "inline"]  # names are no markup
    assert main([*map(str, call)]) == 130
    out = capsys.readouterr().out
    assert "no report: interrupted" in out
    assert "4 of 4 trials finished (4 complete)" in out
    assert "python -m hpo.report --study-name 'a[bold]b [/x]'" in out


def test_json_stays_json_when_the_winner_is_promoted_from_moved_data(
    tmp_path: Path, mlflow_template: Path
) -> None:
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    data, moved = shop(tmp_path), tmp_path / "moved" / "interactions.csv"
    call = ["--study", study_file(tmp_path), "--study-name", "tiny", "--no-report"]
    call += ["--tracking-uri", "sqlite:///mlflow.db", "--workers", "2"]
    assert run("hpo.run", *call, "--data", data, "--n-trials", 2, cwd=tmp_path)[0] == 0
    moved.parent.mkdir()
    shutil.move(data, moved)

    more = ["--data", moved, "--n-trials", 3, "--json", "--promote"]
    code, out, err = run("hpo.run", *call, *more, cwd=tmp_path)
    events = [json.loads(line) for line in out.splitlines()]
    promoted = events[-1]
    assert promoted["event"] == "promoted", err
    assert (promoted["version"], code) == (1, 0 if promoted["passed"] else 1)
    assert promoted["role"] == ("champion" if promoted["passed"] else "challenger")
    assert (promoted["refused"] is None) == promoted["passed"]
    assert "race: trial" in err


def test_a_report_that_mlflow_lacks_is_told_and_stops_no_promotion(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    mlflow_template: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "hpo.execution.launcher.report_at_end", lambda *_, **__: ("not in MLflow: too slow", 3)
    )
    call = ["--data", shop(tmp_path), "--study", study_file(tmp_path), "--runner", "inline"]
    call += ["--tracking-uri", "sqlite:///mlflow.db", "--promote", "--json"]
    code = main([*map(str, call)])
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "promoted"
    assert code == (3 if events[-1]["passed"] else 1)
