"""python -m recsys.train and recsys.evaluate, as people call them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys import evaluate, train
from recsys.artifacts.checkpoint import load
from recsys.artifacts.mlflow_client import load_lines, open_client
from recsys.config import TrainConfig
from recsys.errors import CheckpointError, ConfigError, DataError, TrackingError
from recsys.retrieval.recommender import Recommender
from tests.support.examples import conveyor
from tests.support.mlflow_store import fresh_store
from tests.support.paths import ROOT

ORIGINAL = ROOT.parent / "shared" / "data" / "original"
TINY = ["--epochs", "2", "--dim", "4", "--lr", "0.05"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = conveyor()
    lines = [
        f"{rows.user_ids[user]},{rows.item_ids[item]},{time}"
        for user, item, time in zip(rows.users, rows.items, rows.times, strict=True)
    ]
    path = tmp_path / "shop.csv"
    path.write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    return path


@pytest.mark.skipif(not ORIGINAL.is_dir(), reason="the original system's CSVs are not here")
def test_the_original_system_with_its_own_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = fresh_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    artifacts = tmp_path / "artifacts"
    argv = ["--data-root", str(ORIGINAL), "--artifacts", str(artifacts), "--epochs", "5"]
    argv += ["--dim", "32", "--lr", "0.01", "--mlflow-tracking", "--experiment-name", "mine"]
    assert train.main(argv) == 0
    meta = json.loads((artifacts / "model_meta.json").read_text())
    assert (meta["n_users"], meta["n_items"]) == (100, 50)
    assert len(meta["item_ids"]) == 50
    assert np.load(artifacts / "item_vecs.npy").shape == (50, 32)
    assert np.load(artifacts / "user_vecs.npy").shape == (100, 32)
    client = open_client(uri)
    experiment = client.get_experiment_by_name("mine").experiment_id
    (run,) = client.search_runs([experiment], "metrics.recall_at_10 > 0.01")
    assert run.data.params["dim"] == "32"
    assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 5
    assert "example.com" not in capsys.readouterr().out


def test_the_lines_that_load_the_model_work_when_pasted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--data", str(data), "--artifacts", str(tmp_path / "a"), "--mlflow-tracking", *TINY]
    assert train.main([*argv, "--tracking-uri", fresh_store(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("mlflow  ")) + 1
    pasted = "\n".join([*lines[start:-1], "print(type(model).__name__)"])  # the last says "next"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    env = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", pasted],
        check=False,
        cwd=fresh,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not list(fresh.glob("*.db"))


def test_the_lines_that_load_a_model_hold_no_password() -> None:
    lines = load_lines("https://me:secret@ml.shop", "1f")
    assert lines[0] == "import os"
    assert 'mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])' in lines[2]
    assert "secret" not in "".join(lines)


def test_evaluate_gives_the_same_figures(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts = tmp_path / "model"
    assert train.main(["--data", str(data), "--artifacts", str(artifacts), *TINY]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^epoch +2/2  loss \d", out, re.MULTILINE)
    assert re.search(r"^popularity  recall@10 0\.\d{4}", out, re.MULTILINE)
    command = re.search(r"^next +python -m recsys\.evaluate (.*)$", out, re.MULTILINE)
    assert command
    assert evaluate.main(command[1].split()) == 0
    shown = dict(re.findall(r"^  (\w+) +(\S+) ", capsys.readouterr().out, re.MULTILINE))
    stored = json.loads((artifacts / "model_meta.json").read_text())["validation"]
    assert shown == {name: f"{value:.6f}" for name, value in stored.items()}


def test_evaluate_refuses_other_data(data: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "model"
    train.main(["--data", str(data), "--artifacts", str(artifacts), *TINY])
    data.write_text(data.read_text() + "new,i1,1\n")
    with pytest.raises(DataError, match="not the data of .*trained on shop"):
        evaluate.main(["--data", str(data), "--artifacts", str(artifacts)])


def test_bad_options_cost_no_training(data: Path, tmp_path: Path) -> None:
    base = ["--data", str(data), "--artifacts"]
    with pytest.raises(ConfigError, match=r"dim=0: must be 1\.\.4096"):
        train.main([*base, str(tmp_path / "a"), "--dim", "0"])
    with pytest.raises(CheckpointError, match="cannot be written"):
        train.main([*base, str(data / "a")])
    with pytest.raises(ConfigError, match="--device tpu9: cannot be used here .*cpu, cuda, mps, x"):
        train.main([*base, str(tmp_path / "a"), "--device", "tpu9"])
    with pytest.raises(TrackingError):
        train.main([*base, str(tmp_path / "a"), "--mlflow-tracking", "--tracking-uri", "mlruns"])
    assert not list((tmp_path / "a").glob("*"))


def test_every_hyperparameter_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train.main(["--help"])
    shown = capsys.readouterr().out
    for name, default in TrainConfig().as_dict().items():
        option = f"--{name.replace('_', '-')}"
        assert re.search(
            rf"{option} [NX] .*\(default:\s+{re.escape(str(default))}\)", shown, re.DOTALL
        )


def test_as_a_command_errors_are_one_line(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "recsys.train", "--data", str(data), "--lr", "-1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: lr=-1.0: must be 1e-07..10\n"


def test_a_sample_of_users_is_stated_with_its_interval(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--data", str(data), "--artifacts", str(tmp_path / "a")]
    assert train.main([*flags, *TINY, "--split", "leave-one-out", "--eval-users", "25"]) == 0
    out = capsys.readouterr().out
    assert "60 validation, 60 test (leave-one-out split)" in out
    (recall, error) = re.findall(r"25 of 60 users .* recall@10 ([\d.]+) \+- ([\d.]+)", out)[-1]
    # of 25 answers, each found or not; the fewer of the 60 are left unasked, the surer
    share, of_one, unasked = float(recall), 1 / 25, 35 / 60
    assert 0.2 < share < 0.95, "else any formula gives nearly nothing"
    expected = 1.96 * (share * (1 - share) * of_one * unasked) ** 0.5
    assert float(error) == pytest.approx(expected, abs=1e-4)
    assert evaluate.main(flags) == 0
    assert "25 users" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"was trained on .*; say where that is with --data"):
        evaluate.main(flags[2:])
    with pytest.raises(DataError, match="--data ml-100k: not the data of"):  # nothing is fetched
        evaluate.main([*flags[2:], "--data", "ml-100k"])


def test_evaluate_finds_named_data_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--artifacts", str(tmp_path / "a")]
    assert train.main([*flags, "--data", "demo", "--repeats", "keep", *TINY]) == 0
    assert evaluate.main(flags) == 0
    assert "on demo," in capsys.readouterr().out


def test_what_reading_left_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"u{n % 20},i{n * 7 % 31},{n},x" for n in range(200)]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,when_it_was,note", *rows, *rows]))
    flags = ["--data", str(tmp_path / "log.csv"), "--artifacts", str(tmp_path / "a"), *TINY]
    assert train.main(flags) == 0
    out, err = capsys.readouterr()
    columns, first, second = err.splitlines()
    assert columns == "columns: user 'user_id', item 'item_id'"
    assert first.startswith("read: 400 rows; ")
    assert first.endswith("columns not used: 'when_it_was', 'note'")
    assert second.startswith("no times: no column is recognised")
    assert out.startswith("data        log")


def test_what_reading_did_is_told_on_stderr_in_both_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, path = conveyor(), tmp_path / "gaps.csv"
    rows = [f"{user}.0,{item}.0" for user, item in zip(log.users, log.items, strict=True)]
    path.write_text("\n".join(["user_id,item_id", *rows]) + "\n")
    flags = ["--data", str(path), "--artifacts", str(tmp_path / "artifacts")]
    for command, own in ((train.main, TINY), (evaluate.main, [])):
        assert command([*flags, *own]) == 0
        out, err = capsys.readouterr()
        told = err.splitlines()
        assert (
            "ids: 'user_id', 'item_id': whole numbers written as floats, read as integers" in told
        )
        assert any(line.startswith("no times: no column is recognised as a time") for line in told)
        assert "whole numbers" not in out


def test_integers_saved_as_floats_are_the_ids_that_answers_are_asked_for(tmp_path: Path) -> None:
    log, path = conveyor(), tmp_path / "gaps.csv"
    rows = [f"{user}.0,{item}.0,{row}" for row, (user, item) in
            enumerate(zip(log.users, log.items, strict=True))]  # fmt: skip
    path.write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    artifacts = tmp_path / "artifacts"
    assert train.main(["--data", str(path), "--artifacts", str(artifacts), *TINY]) == 0
    stored = load(artifacts, torch.device("cpu"))
    answers = Recommender(stored.model, stored.history).recommend([12, "12.0"], k=3)
    assert [answer.source for answer in answers] == ["model", "popular"]
    assert {item for item, _ in answers[0].items} <= {str(item) for item in range(30)}


def test_columns_by_position_and_filters_reach_both_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"u{n % 25},{n * 7 % 31},{n % 5},{1 + n % 28:02d}/0{1 + n % 9}/2024" for n in range(400)
    ]
    (tmp_path / "log.csv").write_text("\n".join(rows))
    flags = ["--data", str(tmp_path / "log.csv"), "--artifacts", str(tmp_path / "a"), *TINY]
    flags += ["--no-header", "--user-col", "1", "--item-col", "2", "--time-col", "4"]
    flags += ["--rating-col", "3", "--min-rating", "1", "--min-user-rows", "9"]
    assert train.main([*flags, "--time-format", "%d/%m/%Y", "--event-weights", "like=4"]) == 0
    out, err = capsys.readouterr()
    assert "80 rows with a low rating or none left out" in err
    assert "filter: --min-user-rows 9 left out" in err
    command = re.search(r"^next +python -m recsys\.evaluate (.*)$", out, re.MULTILINE)
    assert command
    assert evaluate.main(shlex.split(command[1])) == 0
    with pytest.raises(DataError, match="give --data and its options as in training"):
        evaluate.main(shlex.split(command[1].replace("--min-rating 1", "--min-rating 2")))
