"""Where CUDA is asked before the first tensor is there, and which device each command takes."""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import replace

import pytest
import torch

from hpo.reporting.model_comparison import device_of
from hpo.runners import worker
from hpo.study import environment as surroundings
from hpo.study.records import Attempt
from hpo.study.trial_rows import TrialRow
from recsys.cli.formatting import default_device, device_from
from recsys.config import TrainConfig
from recsys.data.splitting import Holdout
from recsys.errors import ConfigError
from recsys.evaluation.metrics import MetricName
from recsys.training.fit import Fit
from tests.support.cuda_double import CudaDouble, cuda as cuda
from tests.support.examples import conveyor_split

CARD, CPU = torch.device("cuda:0"), torch.device("cpu")


def fit_on_cpu(
    holdout: Holdout, config: TrainConfig, device: torch.device, objective: MetricName
) -> Fit:
    assert device == CARD
    return Fit(holdout, config, CPU, objective)


def test_the_first_training_of_a_worker_comes_before_cuda_is_initialized(
    cuda: CudaDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "Fit", fit_on_cpu)
    out = io.StringIO()
    command = {"task": 1, "train": TrainConfig(dim=8, epochs=2).as_dict(), "snapshot": None}
    channel = worker.Channel(io.StringIO(), out)
    end = worker.serve_task(channel, command, conveyor_split().tuning, CARD, "recall_at_10")
    assert not cuda.initialized
    assert end == {"end": "done"}
    epochs = [line for line in map(json.loads, out.getvalue().splitlines()) if "epoch" in line]
    assert len(epochs) == 2


def test_a_card_that_works_is_taken(cuda: CudaDouble) -> None:
    assert default_device().type == device_from(argparse.Namespace(device="auto")).type == "cuda"


def test_a_card_that_does_not_work_is_told_and_how_to_go_on(cuda: CudaDouble) -> None:
    cuda.broken = True
    with pytest.raises(ConfigError, match="device cuda: .*no kernel.*CUDA_VISIBLE_DEVICES to -1"):
        default_device()
    with pytest.raises(ConfigError, match="--device cuda: .*no kernel image.*; try cpu"):
        device_from(argparse.Namespace(device="auto"))


@pytest.mark.parametrize(("broken", "kind"), [(False, "NVIDIA Double"), (True, "unusable (CUDA")])
def test_the_record_of_the_machine_needs_no_card_that_works(
    cuda: CudaDouble, broken: bool, kind: str
) -> None:
    cuda.broken = broken
    surroundings.processor_of.cache_clear()
    assert surroundings.environment_facts()["gpu"].startswith(kind)
    surroundings.processor_of.cache_clear()


@pytest.mark.parametrize(
    ("trained_on", "device"),
    [("cpu", "cpu"), ("cuda:0", "cuda:0"), ("tpu", "cuda")],
)
def test_a_report_trains_again_where_the_trial_was_trained(
    cuda: CudaDouble, trained_on: str, device: str
) -> None:
    attempt = Attempt(1, 0, 0, 1, "process", trained_on)
    row = TrialRow(0, "COMPLETE", 0.5, {}, {1: 0.5}, 1, 1.0, 0.1, None, attempt, None, None)
    assert str(device_of(row)) == device
    assert device_of(replace(row, attempt=None)).type == "cuda"
