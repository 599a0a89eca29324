"""A study from its first trial to a registered model on a stand-in for a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo import replay, run
from hpo.study.records import ATTEMPT, EPOCHS, OUTCOME, StudyRecord
from tests.support.commands import shop, study_file, study_in
from tests.support.cuda_double import CudaDouble, cuda as cuda


def test_a_study_on_a_gpu_is_searched_reported_promoted_and_replayed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    cuda: CudaDouble,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    call = ["--study", str(study_file(tmp_path)), "--data", str(shop(tmp_path)), "--n-trials", "3"]
    call += ["--device", "cuda", "--runner", "inline", "--promote"]
    code = run.main(call)
    said = capsys.readouterr().out
    assert code in (0, 1), said  # 1: so small a model may not pass the gate
    assert "memory on cuda:0: 17.18 GB free; a training takes at most" in said
    assert "stored with the study: this report and the model of trial" in said
    assert "version" in said
    trials = study_in(tmp_path).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    assert {trial.user_attrs[ATTEMPT]["device"] for trial in trials} == {"cuda:0"}
    assert {trial.user_attrs[ATTEMPT]["processor"] for trial in trials} == {"NVIDIA Double"}
    assert all(trial.user_attrs[OUTCOME]["best_epoch"] for trial in trials)

    assert replay.main(["--trial", "0"]) == 0
    assert "the same: 5 epochs, within 0.002 (largest difference 0), as on GPUs" in (
        capsys.readouterr().out
    )
    for change, code in ((0.0015, 0), (0.0025, 1)):
        monkeypatch.setattr(
            "hpo.study.replayer.epochs_of", lambda trial, by=change: _moved(trial, by)
        )
        assert replay.main(["--trial", "0"]) == code
        assert ("epoch 1 differs" in capsys.readouterr().out) == bool(code)


def _moved(trial: object, by: float) -> dict[str, list[float]]:
    """The epochs of a trial with another objective."""
    epochs = trial.user_attrs[EPOCHS]  # type: ignore[attr-defined]
    return {**epochs, "recall_at_10": [value - by for value in epochs["recall_at_10"]]}


def test_a_study_made_on_a_gpu_goes_on_with_its_base_on_a_cpu(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    cuda: CudaDouble,
) -> None:
    monkeypatch.chdir(tmp_path)
    call = ["--study", str(study_file(tmp_path)), "--data", str(shop(tmp_path)), "--no-tracking"]
    call += ["--no-report", "--runner", "inline", "--set", "base_on_gpu.batch_size=512"]
    for n_trials, device in (("1", "cuda"), ("2", "cpu")):
        assert run.main([*call, "--n-trials", n_trials, "--device", device]) == 0
        told = "defaults on a GPU: batch_size 512" in capsys.readouterr().out
        assert told == (device == "cuda")
    study = study_in(tmp_path)
    devices = [trial.user_attrs[ATTEMPT]["device"] for trial in study.trials]
    assert devices == ["cuda:0", "cpu"]
    assert StudyRecord.of(study).config.base["batch_size"] == 512
