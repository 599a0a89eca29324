"""Where CUDA is asked before the first tensor is there, and which device each command takes."""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo import run
from hpo.errors import TrainingFailed
from hpo.reporting.model_comparison import device_of
from hpo.runners import devices, worker
from hpo.runners.base import TrainingSetup
from hpo.runners.process import ProcessRunner
from hpo.study.machine import environment_facts
from hpo.study.records import Attempt
from hpo.study.trial_rows import TrialRow
from recsys.cli.formatting import default_device, device_from
from recsys.config import TrainConfig
from recsys.data.holdout_file import save_holdout
from recsys.errors import ConfigError
from tests.support.cuda_double import CudaDouble, cuda as cuda, mps as mps
from tests.support.examples import conveyor_split

GPU = torch.device("cuda:0")


def serve(config: TrainConfig, task: int = 1) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The last message of a worker on a GPU that trains a config, and its epochs."""
    out = io.StringIO()
    command = {"task": task, "train": config.as_dict(), "snapshot": None}
    channel = worker.Channel(io.BytesIO(), out)
    setup = TrainingSetup(conveyor_split().tuning, GPU, ("recall_at_10", ()))
    end = worker.serve_task(channel, command, setup)
    told = map(json.loads, out.getvalue().splitlines())
    return end, [message["epoch"] for message in told if "epoch" in message]


def test_the_first_training_of_a_worker_comes_before_cuda_is_initialized(cuda: CudaDouble) -> None:
    end, epochs = serve(TrainConfig(dim=8, epochs=2))
    assert end == {"end": "done"}
    assert len(epochs) == 2
    assert 0 < epochs[0]["gpu_memory_mb"] < 1
    assert cuda.memory.used < 100


def test_a_config_that_does_not_fit_leaves_the_gpu_free(cuda: CudaDouble) -> None:
    cuda.memory.capacity = 1_000_000
    end, _ = serve(TrainConfig(dim=2048, epochs=2))
    assert end["end"] == "out-of-memory"
    assert "CUDA out of memory" in end["message"]
    assert (cuda.memory.used < 100, cuda.emptied) == (True, 1)
    assert serve(TrainConfig(dim=4, epochs=2))[0] == {"end": "done"}


def test_a_worker_that_a_gpu_failed_is_replaced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    save_holdout(data, conveyor_split().tuning)
    runner = ProcessRunner(data, "recall_at_10", "cuda:99")
    try:
        with pytest.raises(TrainingFailed):
            list(runner.epochs(TrainConfig(dim=4, epochs=1)))
        assert runner.pid is None
    finally:
        runner.close()


@pytest.mark.parametrize(
    ("asked", "device"), [("auto", "cuda"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_gpus_are_named_as_they_were_asked_for(cuda: CudaDouble, asked: str, device: str) -> None:
    cuda.n_gpus = 2
    assert run._device(run.parser().parse_args(["--device", asked])) == device


def test_a_gpu_that_is_not_there_is_refused(cuda: CudaDouble) -> None:
    with pytest.raises(ConfigError, match="--device cuda:1: .*invalid device ordinal.*; try cpu"):
        device_from(argparse.Namespace(device="cuda:1"))


def test_a_mac_s_gpu_is_taken_where_it_is_asked_for(mps: CudaDouble) -> None:
    assert run._device(run.parser().parse_args(["--device", "mps"])) == "mps"
    assert run._device(run.parser().parse_args([])) == "cpu"
    devices.processor_of.cache_clear()
    assert devices.processor_of("mps") == "mps"


def test_a_gpu_that_works_is_taken(cuda: CudaDouble) -> None:
    assert default_device().type == device_from(argparse.Namespace(device="auto")).type == "cuda"


def test_a_gpu_that_does_not_work_is_told_and_how_to_go_on(cuda: CudaDouble) -> None:
    cuda.broken = True
    with pytest.raises(ConfigError, match="device cuda: .*no kernel.*CUDA_VISIBLE_DEVICES to -1"):
        default_device()
    with pytest.raises(ConfigError, match="--device cuda: .*no kernel image.*; try cpu"):
        device_from(argparse.Namespace(device="auto"))


@pytest.mark.parametrize(("broken", "kind"), [(False, "NVIDIA Double"), (True, "unusable (CUDA")])
def test_the_record_of_the_machine_needs_no_gpu_that_works(
    cuda: CudaDouble, broken: bool, kind: str
) -> None:
    cuda.broken = broken
    devices.processor_of.cache_clear()
    assert environment_facts()["gpu"].startswith(kind)
    devices.processor_of.cache_clear()


@pytest.mark.parametrize(
    ("trained_on", "device"),
    [("cpu", "cpu"), ("cuda:0", "cuda:0"), ("tpu", "cuda:0")],
)
def test_a_report_trains_again_where_the_trial_was_trained(
    cuda: CudaDouble, trained_on: str, device: str
) -> None:
    attempt = Attempt(1, 0, 0, 1, "process", trained_on)
    row = TrialRow(0, "COMPLETE", 0.5, {}, {1: 0.5}, 1, 1.0, 0.1, None, attempt, None, None)
    assert str(device_of(row)) == device
    assert device_of(replace(row, attempt=None)).type == "cuda"
