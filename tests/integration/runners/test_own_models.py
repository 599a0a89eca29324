"""Models of the user's own in real workers: whatever they start or yield, the launcher goes on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest
import torch

from hpo.errors import Parked, WorkerDied
from hpo.runners import worker_process
from hpo.runners.base import Runner
from hpo.runners.inline import InlineRunner
from hpo.runners.on_ray.cluster import RayCluster, RayNeed
from hpo.runners.on_ray.runner import RayRunner
from hpo.runners.process import ProcessRunner
from recsys.config import TrainConfig
from recsys.data.holdout_file import save_holdout
from recsys.errors import DivergedError
from recsys.training import EpochResult
from tests.support.examples import conveyor_split
from tests.support.own_model import PopularConfig

AWKWARD, CONFIG = "tests.support.awkward_model", PopularConfig()
LONG = PopularConfig(epochs=500)
HOLDOUT, METRIC = conveyor_split().tuning, "recall_at_10"
ENDING_SECONDS = 10

MakeRunner = Callable[..., ProcessRunner]
forks = pytest.mark.skipif(sys.platform != "linux", reason="needs a fork")


@pytest.fixture
def runner_of(tmp_path: Path) -> Iterator[MakeRunner]:
    """A runner whose worker trains a model of `tests.support.awkward_model`."""
    save_holdout(tmp_path / "data", HOLDOUT)
    with ExitStack() as stack:

        def make(name: str) -> ProcessRunner:
            runner = ProcessRunner(tmp_path / "data", METRIC, trainable=f"{AWKWARD}:{name}")
            return stack.enter_context(closing(runner))

        yield make


def helper_of(result: EpochResult) -> psutil.Process:
    """The child of a `Lingering` model."""
    return psutil.Process(int(result.train_loss))


def has_ended(process: psutil.Process) -> bool:
    gone, _ = psutil.wait_procs([process], timeout=ENDING_SECONDS)
    return bool(gone) or process.status() == psutil.STATUS_ZOMBIE


@forks
def test_a_model_may_fork(runner_of: MakeRunner) -> None:
    assert len(list(runner_of("Forking").epochs(CONFIG))) == CONFIG.epochs


@forks
def test_what_a_model_leaves_running_ends_with_its_worker(runner_of: MakeRunner) -> None:
    runner = runner_of("Lingering")
    *_, last = runner.epochs(CONFIG)
    helper = helper_of(last)
    assert helper.is_running()
    runner.close()
    assert has_ended(helper)


@forks
def test_a_worker_s_death_is_seen_though_a_child_of_it_lives(runner_of: MakeRunner) -> None:
    runner = runner_of("Lingering")
    epochs = runner.epochs(LONG)
    helper = helper_of(next(epochs))
    assert runner.pid
    psutil.Process(runner.pid).kill()
    with pytest.raises(WorkerDied, match=r"died \(signal 9"):
        list(epochs)
    assert has_ended(helper)


@forks
def test_a_child_that_left_its_group_does_not_hold_up_the_launcher(
    runner_of: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "EXIT_SECONDS", 0.5)
    runner = runner_of("Leaving")
    epochs = runner.epochs(LONG)
    helper = helper_of(next(epochs))
    runner.kill()
    with pytest.raises(WorkerDied, match=r"died \(signal 9"):
        list(epochs)
    assert runner.pid is None
    helper.kill()


@forks
def test_no_child_outlives_a_killed_launcher(tmp_path: Path) -> None:
    save_holdout(tmp_path / "data", HOLDOUT)
    command = [sys.executable, "-m", "hpo.runners.worker", "--data", str(tmp_path / "data")]
    more = ["--objective", METRIC, "--trainable", f"{AWKWARD}:Leaving", "--threads", "1"]
    worker = worker_process.WorkerProcess([*command, *more])
    assert worker.receive() == {"ready": True}
    worker.send({"task": 1, "train": CONFIG.as_dict()})
    while "epoch" not in (message := worker.receive()):
        pass
    helper = psutil.Process(int(message["epoch"]["train_loss"]))
    assert worker._process.stdin
    worker._process.stdin.close()  # as the system does it
    assert has_ended(helper)
    worker.close()


def test_numbers_of_numpy_and_torch_will_do(runner_of: MakeRunner) -> None:
    results = list(runner_of("InNumPy").epochs(CONFIG))
    assert [result.epoch for result in results] == [1, 2, 3]
    assert results[0].metrics.more == {"map_at_7": 0.5}
    assert results[0].seconds == 2.0


def test_a_loss_of_numpy_that_is_nan_means_a_training_that_diverged(runner_of: MakeRunner) -> None:
    with pytest.raises(DivergedError, match="is nan at epoch 2"):
        list(runner_of("NanInNumPy").epochs(CONFIG))


def test_a_snapshot_that_the_model_cannot_read_costs_time_only(
    runner_of: MakeRunner, tmp_path: Path
) -> None:
    (tmp_path / "trial-0").write_text("torn")
    results = list(runner_of("Torn").epochs(CONFIG, tmp_path / "trial-0"))
    assert [result.epoch for result in results] == [1, 2, 3]


def test_a_worker_searches_modules_in_the_order_of_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = str(Path(worker_process.__file__).parents[2])
    monkeypatch.setattr("sys.path", ["/script", "/python", installed, "/more"])
    assert worker_process._import_path().split(os.pathsep) == [
        "/script",
        "/python",
        installed,
        "/more",
    ]
    monkeypatch.setattr("sys.path", ["/script", "/python"])
    assert worker_process._import_path().split(os.pathsep) == ["/script", "/python", installed]


def test_what_is_no_text_in_the_import_path_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", Path("/models"), "/packages"])
    found = worker_process._import_path().split(os.pathsep)
    assert found[:-1] == ["/packages"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM")
def test_a_service_manager_s_sigterm_leaves_time_to_park(tmp_path: Path) -> None:
    save_holdout(tmp_path / "data", HOLDOUT)
    with closing(ProcessRunner(tmp_path / "data", METRIC)) as runner:
        epochs = runner.epochs(
            TrainConfig(dim=8, epochs=10_000, patience=10_000), tmp_path / "kept"
        )
        next(epochs)
        assert runner.pid
        os.kill(runner.pid, signal.SIGTERM)
        next(epochs)
        runner.park()
        with pytest.raises(Parked):
            list(epochs)
    assert (tmp_path / "kept").exists()


def inline(trainable: str, _: Path) -> InlineRunner:
    return InlineRunner(HOLDOUT, METRIC, torch.device("cpu"), trainable=trainable)


def in_process(trainable: str, data: Path) -> ProcessRunner:
    save_holdout(data, HOLDOUT)
    return ProcessRunner(data, METRIC, trainable=trainable)


def on_ray(trainable: str, _: Path) -> RayRunner:
    cluster = RayCluster(RayNeed(), 300.0, print, trainable)
    cluster.put(HOLDOUT, (METRIC, ()), threads=1)
    return RayRunner(cluster)


@pytest.mark.parametrize("make", [inline, in_process, on_ray])
def test_a_model_that_saves_nothing_can_be_parked(
    make: Callable[[str, Path], Runner], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if make is on_ray:
        request.getfixturevalue("ray_nodes")
    snapshot = tmp_path / "parked" / "trial-0"
    with closing(make("tests.support.own_model:Popular", tmp_path / "data")) as runner:
        epochs = runner.epochs(LONG, snapshot)
        next(epochs)
        runner.park()
        with pytest.raises(Parked):
            list(epochs)
        assert not snapshot.exists()
        assert [result.epoch for result in runner.epochs(CONFIG, snapshot)] == [1, 2, 3]
