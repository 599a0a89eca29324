"""The stop button of a notebook parks a study with worker processes; the kernel lives on."""

from __future__ import annotations

from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from hpo.api.study_result import load_study
from tests.support.commands import environment, shop, study_file

SECONDS = 300  # until a message; only ends a broken test


def test_the_stop_button_parks(tmp_path: Path) -> None:
    shop(tmp_path)
    study_file(tmp_path, epochs=50)
    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel(cwd=str(tmp_path), env=environment())
    client = kernel.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        client.execute(
            "import hpo\nhpo.tune('interactions.csv', 200, 'tiny.toml', tracking=False, workers=2)"
        )
        assert (
            stopped(kernel, client) == "study tiny-interactions is parked; the same call resumes it"
        )
        study = load_study(storage=tmp_path / "studies/optuna.db")
        assert set(study.trials["state"]) <= {"COMPLETE", "WAITING"}
        assert 1 <= study.n_finished < 200
        assert kernel.is_alive()
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def stopped(kernel: KernelManager, client: BlockingKernelClient) -> str:
    """The error of the running cell, which is interrupted when its first trial is complete."""
    error, text, is_interrupted = "", "", False
    while True:
        message = client.get_iopub_msg(timeout=SECONDS)
        content = message["content"]
        text += content.get("text", "")
        if "trial 0 complete" in text and not is_interrupted:
            kernel.interrupt_kernel()
            is_interrupted = True
        if message["msg_type"] == "error":
            assert content["ename"] == "KeyboardInterrupt"
            error = content["evalue"]
        if error and content.get("execution_state") == "idle":
            return error
