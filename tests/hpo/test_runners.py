"""One protocol, one suite: what every engine must do."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import torch

from hpo.errors import TrainingFailed, WorkerDied
from hpo.runners import Runner
from hpo.runners import process as process_module
from hpo.runners.inline import InlineRunner
from hpo.runners.process import ProcessRunner
from recsys.config import TrainConfig
from recsys.errors import DivergedError
from recsys.prepared import save_holdout
from recsys.split import Holdout
from tests.examples import conveyor_split, exploding

CONFIG = TrainConfig(dim=8, epochs=3, batch_size=32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "holdout.safetensors"
    save_holdout(path, conveyor_split().tuning)
    return path


@pytest.fixture(scope="module", params=["inline", "process"])
def runner(request: pytest.FixtureRequest, data: Path) -> Iterator[Runner]:
    made: Runner = (
        InlineRunner(conveyor_split().tuning, torch.device("cpu"))
        if request.param == "inline"
        else ProcessRunner(data)
    )
    yield made
    made.close()


@pytest.fixture
def process(data: Path) -> Iterator[ProcessRunner]:
    made = ProcessRunner(data)
    yield made
    made.close()


class TestEveryRunner:
    """The contract of `hpo.runners.Runner`."""

    def test_epochs_come_in_order_and_repeat_exactly(self, runner: Runner) -> None:
        first, again = list(runner.epochs(CONFIG)), list(runner.epochs(CONFIG))
        assert [result.epoch for result in first] == [1, 2, 3]
        assert [result.metrics for result in first] == [result.metrics for result in again]
        assert [result.train_loss for result in first] == [r.train_loss for r in again]

    def test_closing_early_stops_and_the_runner_serves_again(self, runner: Runner) -> None:
        long = CONFIG.replace(epochs=10_000, patience=10_000)
        with closing(runner.epochs(long)) as epochs:
            assert next(epochs).epoch == 1
        assert [result.epoch for result in runner.epochs(CONFIG)] == [1, 2, 3]

    def test_it_says_what_an_epoch_took(self, runner: Runner) -> None:
        results = list(runner.epochs(CONFIG))
        assert all(result.cpu_seconds > 0 for result in results)
        assert 20 < results[0].memory_mb <= results[-1].memory_mb < 100_000
        assert results[0].gpu_memory_mb == 0

    def test_it_says_how_it_trains(self, runner: Runner) -> None:
        assert runner.name in ("inline", "process")
        assert runner.threads >= 1


def test_inline_and_process_agree_bit_for_bit(process: ProcessRunner) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        inline = InlineRunner(conveyor_split().tuning, torch.device("cpu"))
        ours, theirs = list(inline.epochs(CONFIG)), list(process.epochs(CONFIG))
    finally:
        torch.set_num_threads(before)
    assert [result.metrics for result in ours] == [result.metrics for result in theirs]


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_divergence_keeps_its_epoch_and_step(tmp_path: Path, kind: str) -> None:
    holdout = exploding()
    save_holdout(tmp_path / "data", holdout)
    made: Runner = (
        InlineRunner(holdout, torch.device("cpu"))
        if kind == "inline"
        else ProcessRunner(tmp_path / "data")
    )
    with closing(made), pytest.raises(DivergedError, match="epoch 1, step 1"):
        list(made.epochs(CONFIG))


def test_a_killed_worker_is_seen_and_replaced(process: ProcessRunner) -> None:
    epochs = process.epochs(CONFIG.replace(epochs=10_000, patience=10_000))
    next(epochs)
    assert process.pid is not None
    psutil.Process(process.pid).kill()
    with pytest.raises(WorkerDied, match=r"died \((signal 9|exit code)"):
        list(epochs)
    assert [result.epoch for result in process.epochs(CONFIG)] == [1, 2, 3]


def test_an_exception_of_the_training_keeps_its_traceback(tmp_path: Path) -> None:
    holdout = conveyor_split().tuning
    nobody = holdout.relevant.take(holdout.relevant.users < 0)  # nothing to evaluate
    save_holdout(tmp_path / "data", Holdout(holdout.seen, nobody))
    with closing(ProcessRunner(tmp_path / "data")) as runner:
        with pytest.raises(TrainingFailed, match="Error: ") as caught:
            list(runner.epochs(CONFIG))
        assert "Traceback" in caught.value.traceback
        with pytest.raises(TrainingFailed):
            list(runner.epochs(CONFIG))


def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        closing(ProcessRunner(tmp_path / "missing")) as runner,
        pytest.raises(TrainingFailed, match="cannot start") as caught,
    ):
        list(runner.epochs(CONFIG))
    assert "no prepared training data" in caught.value.traceback


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to see a kill by")
def test_a_worker_killed_before_it_is_ready_has_died(
    process: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = process_module.WorkerProcess

    def killed(command: list[str]) -> process_module.WorkerProcess:
        worker = started(command)
        worker.kill()
        return worker

    with monkeypatch.context() as patch:
        patch.setattr(process_module, "WorkerProcess", killed)
        with pytest.raises(WorkerDied, match="signal 9"):
            list(process.epochs(CONFIG))
    assert [result.epoch for result in process.epochs(CONFIG)] == [1, 2, 3]


def test_a_torn_last_line_is_a_death_not_a_bug(process: ProcessRunner) -> None:
    epochs = process.epochs(CONFIG.replace(epochs=10_000, patience=10_000))
    next(epochs)
    worker = process._worker
    assert worker is not None
    worker._messages.put('{"task": 1, "epo')
    with pytest.raises(WorkerDied, match="broke off"):
        list(epochs)
    assert [result.epoch for result in process.epochs(CONFIG)] == [1, 2, 3]


def test_the_worker_ends_when_its_launcher_is_killed(data: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from hpo.runners.process import ProcessRunner\n"
        "from recsys.config import TrainConfig\n"
        "runner = ProcessRunner(Path(sys.argv[1]))\n"
        "for result in runner.epochs(TrainConfig(dim=8, epochs=10000, patience=10000)):\n"
        "    print(runner.pid, flush=True)\n"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", script, str(data)], stdout=subprocess.PIPE, text=True
    )
    assert launcher.stdout is not None
    worker = psutil.Process(int(launcher.stdout.readline()))
    assert "hpo.worker" in worker.cmdline()
    launcher.kill()
    launcher.communicate()
    worker.wait(timeout=10)


def test_workers_import_neither_optuna_nor_mlflow() -> None:
    check = "import hpo.worker, sys; print(sorted({'optuna', 'mlflow'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(result.stdout) == []
