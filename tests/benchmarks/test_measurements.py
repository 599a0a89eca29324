"""Benchmarks measure what they say: memory, device, configuration; and they end as they say."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import train_speed
from search import compare

from benchmarks import growth, launcher_scale, serve_load, served_figures, study_wall
from tests.support.paths import ROOT

SOURCES = [path for top in ("benchmarks", "hpo", "recsys") for path in (ROOT / top).rglob("*.py")]


def test_a_peak_is_in_thousands_of_millions_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "peak_resident_mb", lambda: 1500.0)
    assert json.loads(growth.Stages().report())["peak_gb"] == 1.5


def test_the_launchers_memory_is_in_millions_of_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launcher_scale, "peak_resident_mb", lambda: 367.4)
    monkeypatch.setattr(sys, "argv", ["launcher_scale", "1", "0.001", "1", "--sampler", "random"])
    launcher_scale.main()
    assert capsys.readouterr().out.endswith(", 367 MB\n")


def test_no_peak_is_one_that_a_process_inherits() -> None:
    assert [path for path in SOURCES if "ru_maxrss" in path.read_text(encoding="utf-8")] == []


def test_a_study_and_the_plain_processes_train_on_the_same_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(study_wall, "_wall", started.extend)
    study_wall.run_study(tmp_path, argparse.Namespace(data="demo", trials=2, workers=1))
    ((command),) = started
    assert command[command.index("--device") + 1] == "cpu"


def test_the_als_to_catch_up_with_is_the_tuned_one(tmp_path: Path) -> None:
    lines = (ROOT / "benchmarks/results/tuned.jsonl").read_text(encoding="utf-8").splitlines()
    (als,) = [row for row in map(json.loads, lines) if (row["case"], row["model"]) == ALS]
    assert train_speed.tuned_als() == als["params"]
    with pytest.raises(SystemExit, match=r"tuned\.jsonl: .*quality\.py --data ml-100k --model als"):
        train_speed.tuned_als(tmp_path)


ALS = ("ml-100k", "als")


@pytest.fixture
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Cells of samplers that are computed; one of two seeds is stored."""
    made: list[tuple[str, int]] = []

    def cell(data: str, name: str, n_seeds: int) -> dict[str, Any]:
        made.append((name, n_seeds))
        return row(len(compare.table(data).curves), n_seeds)

    monkeypatch.setattr(compare, "cell", cell)
    monkeypatch.setattr(compare, "RESULTS", tmp_path / "search.jsonl")
    monkeypatch.setattr(compare, "report", lambda *_: "")
    return made


def row(configs: int, seeds: int) -> dict[str, Any]:
    trials = {"best": [0.1] * seeds}
    return {"data": "demo", "name": "random", "configs": configs, "trials": trials, "took": 0.0}


@pytest.mark.parametrize(
    ("configs", "seeds", "again"), [(300, 2, False), (300, 4, True), (101, 2, True)]
)
def test_a_cell_of_other_seeds_or_configs_is_computed_again(
    configs: int,
    seeds: int,
    again: bool,
    compared: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compare.RESULTS.write_text(json.dumps(row(configs, seeds)) + "\n")
    asked = ["compare.py", "--data", "demo", "--only", "random", "--seeds", "2"]
    monkeypatch.setattr(sys, "argv", asked)
    compare.main()
    compare.main()
    assert compared == ([("random", 2)] if again else [])


def test_a_server_that_fails_to_start_says_its_exit_code() -> None:
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    target = serve_load.Target("hpo.serve", command, "/", "/", "")
    with (
        pytest.raises(SystemExit, match=r"^hpo\.serve ended with 3$"),
        serve_load.started(target, 9, dict(os.environ), []),
    ):
        pytest.fail("it has not started")


def test_served_figures_reads_the_fetched_data_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path))
    assert served_figures.parser().parse_args([]).data == tmp_path / "ml-100k" / "ml-100k.inter"
    monkeypatch.setattr(sys, "argv", ["served_figures.py"])
    with pytest.raises(SystemExit, match=r"ml-100k\.inter: no such file; .*--data"):
        served_figures.main()
