"""One protocol, one suite: what every engine must do."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from hpo.errors import Parked, TrainingFailed, WorkerDied
from hpo.runners import process as process_module
from hpo.runners.base import Runner
from hpo.runners.inline import InlineRunner
from hpo.runners.on_ray.cluster import RayCluster, RayNeed
from hpo.runners.on_ray.runner import RayRunner
from hpo.runners.process import ProcessRunner
from recsys.config import TrainConfig
from recsys.data.features import Features
from recsys.data.holdout_file import load_holdout, save_holdout
from recsys.data.splitting import Holdout
from recsys.errors import DivergedError
from recsys.evaluation.metric_names import MetricName
from recsys.evaluation.metrics import Metrics
from recsys.training.epoch import EpochResult
from recsys.training.snapshot import load_snapshot
from tests.support.examples import conveyor_split, exploding

METRIC: MetricName = "recall_at_10"
CONFIG = TrainConfig(dim=8, epochs=3, batch_size=32)
LONG = CONFIG.replace(epochs=10_000, patience=10_000)

MakeRunner = Callable[[Holdout], Runner]

ENGINES: dict[str, Callable[[Holdout, Path], Runner]] = {
    "inline": lambda holdout, _: InlineRunner(holdout, METRIC, torch.device("cpu")),
    "process": lambda _, data: ProcessRunner(data, METRIC),
    "ray": lambda _, data: on_ray(data),
}
"""How to make each runner, of a holdout and its file. A new engine is one more line."""


def on_ray(data: Path) -> RayRunner:
    """A runner with a worker on the cluster of the fixture `ray_nodes`."""
    cluster = RayCluster(RayNeed(), 300.0, print)
    cluster.put(load_holdout(data), (METRIC, ()), threads=1)
    return RayRunner(cluster)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "holdout.safetensors"
    save_holdout(path, conveyor_split().tuning)
    return path


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Callable[[Holdout, Path], Runner]:
    if request.param == "ray":
        request.getfixturevalue("ray_nodes")
    return ENGINES[request.param]


@pytest.fixture(scope="module")
def runner(engine: Callable[[Holdout, Path], Runner], data: Path) -> Iterator[Runner]:
    """One for many tests: whatever happened to it, it serves again."""
    made = engine(conveyor_split().tuning, data)
    yield made
    made.close()


@pytest.fixture
def runner_on(engine: Callable[[Holdout, Path], Runner], tmp_path: Path) -> Iterator[MakeRunner]:
    """A runner on other data."""
    with ExitStack() as stack:

        def make(holdout: Holdout) -> Runner:
            save_holdout(tmp_path / "data", holdout)
            return stack.enter_context(closing(engine(holdout, tmp_path / "data")))

        yield make


@pytest.fixture
def process(data: Path) -> Iterator[ProcessRunner]:
    made = ProcessRunner(data, METRIC)
    yield made
    made.close()


def shown(results: Iterable[EpochResult]) -> list[tuple[int, float, Metrics]]:
    """All that must repeat, bit for bit."""
    return [(result.epoch, result.train_loss, result.metrics) for result in results]


def serves(runner: Runner) -> bool:
    return [result.epoch for result in runner.epochs(CONFIG)] == [1, 2, 3]


class TestEveryRunner:
    """The contract of `hpo.runners.base.Runner`."""

    def test_epochs_come_in_order_and_repeat_exactly(self, runner: Runner) -> None:
        first, again = shown(runner.epochs(CONFIG)), shown(runner.epochs(CONFIG))
        assert [epoch for epoch, *_ in first] == [1, 2, 3]
        assert first == again

    def test_closing_early_stops_and_the_runner_serves_again(self, runner: Runner) -> None:
        with closing(runner.epochs(LONG)) as epochs:
            assert next(epochs).epoch == 1
        assert serves(runner)

    def test_it_says_what_an_epoch_took(self, runner: Runner) -> None:
        results = list(runner.epochs(CONFIG))
        assert all(result.cpu_seconds > 0 for result in results)
        # Linux counts pages in batches of each thread, so a peak may shrink by some 0.1 MB.
        assert 20 < results[0].memory_mb <= results[-1].memory_mb + 1 < 100_000
        assert results[0].gpu_memory_mb == 0

    def test_it_says_how_it_trains(self, runner: Runner) -> None:
        assert runner.name in ENGINES
        assert runner.threads >= 1

    def test_it_says_since_when_it_trains(self, runner: Runner) -> None:
        assert runner.began is None
        asked = time.monotonic()
        epochs = runner.epochs(CONFIG)
        next(epochs)
        assert runner.began is not None
        assert asked < runner.began < time.monotonic()
        assert len(list(epochs)) == 2
        assert runner.began is None

    def test_a_parked_training_goes_on_bit_for_bit(self, runner: Runner, tmp_path: Path) -> None:
        snapshot = tmp_path / "parked" / "trial-0.safetensors"
        config = CONFIG.replace(epochs=200, patience=200)
        before = park(runner, config, snapshot)
        assert 2 <= len(before) < 200
        assert shown(load_snapshot(snapshot, config)[0]) == before
        whole = shown(runner.epochs(config, snapshot))
        assert whole[: len(before)] == before, "it tells its epochs again"
        assert whole == shown(runner.epochs(config))

    def test_without_a_place_a_training_is_not_parked(self, runner: Runner) -> None:
        epochs = runner.epochs(CONFIG)
        next(epochs)
        runner.park()
        assert len(list(epochs)) == 2

    def test_a_damaged_snapshot_costs_time_only(self, runner: Runner, tmp_path: Path) -> None:
        snapshot = tmp_path / "trial-0.safetensors"
        snapshot.write_text("torn")
        assert shown(runner.epochs(CONFIG, snapshot)) == shown(runner.epochs(CONFIG))

    def test_a_disk_that_takes_no_snapshot_fails_the_training(
        self, runner: Runner, tmp_path: Path
    ) -> None:
        (tmp_path / "parked").write_text("in the way")
        epochs = runner.epochs(LONG, tmp_path / "parked" / "trial-0.safetensors")
        next(epochs)
        runner.park()
        with pytest.raises(TrainingFailed, match="cannot be parked") as caught:
            list(epochs)
        assert "Traceback" in caught.value.traceback
        assert serves(runner)

    def test_a_killed_training_is_a_death(self, runner: Runner) -> None:
        epochs = runner.epochs(LONG)
        next(epochs)
        threading.Timer(0.1, runner.kill).start()
        with pytest.raises(WorkerDied):
            list(epochs)
        assert runner.began is None
        assert serves(runner)

    def test_a_kill_between_trainings_is_overcome(self, runner: Runner) -> None:
        runner.kill()
        with suppress(WorkerDied):  # the idle worker may be what died
            list(runner.epochs(CONFIG))
        assert serves(runner)

    def test_divergence_keeps_its_epoch_and_step(self, runner_on: MakeRunner) -> None:
        runner = runner_on(exploding())
        for _ in range(2):
            with pytest.raises(DivergedError, match="epoch 1, step 1"):
                list(runner.epochs(CONFIG))

    def test_what_does_not_fit_is_out_of_memory(self, runner_on: MakeRunner) -> None:
        runner = runner_on(too_large())
        for _ in range(2):
            with pytest.raises(MemoryError, match="allocate memory"):
                list(runner.epochs(CONFIG))

    def test_an_exception_of_the_training_keeps_its_traceback(self, runner_on: MakeRunner) -> None:
        holdout = conveyor_split().tuning
        nobody = holdout.relevant.take(holdout.relevant.users < 0)  # nothing to evaluate
        runner = runner_on(Holdout(holdout.seen, nobody))
        for _ in range(2):
            with pytest.raises(TrainingFailed, match="Error: ") as caught:
                list(runner.epochs(CONFIG))
            assert "Traceback" in caught.value.traceback

    def test_closing_it_twice_is_closing_it(self, runner_on: MakeRunner) -> None:
        runner = runner_on(conveyor_split().tuning)
        next(runner.epochs(CONFIG))
        runner.close()
        runner.close()


def park(runner: Runner, config: TrainConfig, snapshot: Path) -> list[tuple[int, float, Metrics]]:
    """Train until it is put aside; what it showed."""
    results: list[EpochResult] = []

    def train() -> None:
        for result in runner.epochs(config, snapshot):
            results.append(result)
            if len(results) == 2:
                runner.park()

    with pytest.raises(Parked):
        train()
    return shown(results)


def too_large() -> Holdout:
    """An item feature with so many values that no machine holds their table."""
    holdout = conveyor_split().tuning
    codes, offsets = np.zeros(holdout.seen.n_items, np.int32), np.arange(holdout.seen.n_items + 1)
    features = Features(codes, offsets, ("group",), (10**13,))
    return Holdout(replace(holdout.seen, item_features=features), holdout.relevant)


def test_inline_and_process_agree_bit_for_bit(process: ProcessRunner) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        inline = InlineRunner(conveyor_split().tuning, METRIC, torch.device("cpu"))
        ours, theirs = list(inline.epochs(CONFIG)), list(process.epochs(CONFIG))
    finally:
        torch.set_num_threads(before)
    assert shown(ours) == shown(theirs)


def test_a_killed_worker_is_seen_and_replaced(process: ProcessRunner) -> None:
    epochs = process.epochs(LONG)
    next(epochs)
    assert process.pid is not None
    psutil.Process(process.pid).kill()
    with pytest.raises(WorkerDied, match=r"died \((signal 9|exit code)"):
        list(epochs)
    assert serves(process)


def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        closing(ProcessRunner(tmp_path / "missing", METRIC)) as runner,
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
    assert serves(process)


def test_a_torn_last_line_is_a_death_not_a_bug(process: ProcessRunner) -> None:
    epochs = process.epochs(LONG)
    next(epochs)
    worker = process._worker
    assert worker is not None
    worker._messages.put('{"task": 1, "epo')
    with pytest.raises(WorkerDied, match="broke off"):
        list(epochs)
    assert serves(process)


def test_the_worker_ends_when_its_launcher_is_killed(data: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from hpo.runners.process import ProcessRunner\n"
        "from recsys.config import TrainConfig\n"
        "runner = ProcessRunner(Path(sys.argv[1]), 'recall_at_10')\n"
        "for result in runner.epochs(TrainConfig(dim=8, epochs=10000, patience=10000)):\n"
        "    print(runner.pid, flush=True)\n"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", script, str(data)], stdout=subprocess.PIPE, text=True
    )
    assert launcher.stdout is not None
    worker = psutil.Process(int(launcher.stdout.readline()))
    assert "hpo.runners.worker" in worker.cmdline()
    launcher.kill()
    launcher.communicate()
    worker.wait(timeout=10)


def test_workers_import_neither_optuna_nor_mlflow() -> None:
    check = "import hpo.runners.worker, sys; print(sorted({'optuna', 'mlflow'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(result.stdout) == []
