"""Studies on a real Ray cluster of two nodes: exact, whatever dies."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

import hpo
from hpo import TrialEnd
from hpo.errors import SettingsError
from hpo.runners import processor_of
from hpo.study.records import Outcome, epochs_of
from tests.support.commands import shop, study_file
from tests.support.ray_nodes import Nodes
from tests.support.tuning import attempt_of

pytestmark = pytest.mark.slow


def tune(folder: Path, *, epochs: int = 4, **arguments: Any) -> list[FrozenTrial]:
    """Run or continue a small study in a folder; its trials."""
    folder.mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "data": shop(folder),
        "study": study_file(folder, epochs=epochs),
        "storage": folder / "optuna.db",
        "runner": "ray",
        "workers": 2,
        "tracking": False,
        "settings": {"threads": 1, **arguments.pop("settings", {})},
    }
    hpo.tune(**{**given, **arguments})
    return trials_of(folder)


def trials_of(folder: Path) -> list[FrozenTrial]:
    storage = f"sqlite:///{(folder / 'optuna.db').as_posix()}"
    if not (names := optuna.get_all_study_names(storage)):
        return []
    (name,) = names
    return optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)


def node_of(trial: FrozenTrial) -> str:
    """The id in "name (id)"."""
    return attempt_of(trial).node.partition("(")[2].rstrip(")")


def once(act: Callable[[], bool]) -> Callable[[TrialEnd], None]:
    """A callback that acts at the first ends of trials, until it has acted."""
    done, lock = threading.Event(), threading.Lock()

    def callback(_: TrialEnd) -> None:
        with lock:
            if not done.is_set() and act():
                done.set()

    return callback


def assert_exact(trials: list[FrozenTrial], n_trials: int, cause: str) -> FrozenTrial:
    """The one lost trial of a study that otherwise has exactly its trials, and one retry of it."""
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    (lost,) = [trial for trial in trials if trial.state is TrialState.FAIL]
    assert len(trials) == n_trials + 1
    outcome = Outcome.of(lost)
    assert outcome is not None
    assert outcome.cause == cause, outcome.message
    (again,) = [trial for trial in trials if attempt_of(trial).number == 2]
    assert attempt_of(again).origin == lost.number
    assert again.params == lost.params
    return lost


def test_the_data_is_sent_once_to_each_node_and_not_once_a_trial(
    two_nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray.experimental import get_object_locations

    put, data = ray.put, []
    monkeypatch.setattr(ray, "put", lambda value: data.append(put(value)) or data[-1])
    trials = tune(tmp_path, n_trials=8, epochs=150)
    (prepared,) = data
    here = ray.get_runtime_context().get_node_id()
    copies = get_object_locations(data)[prepared]["node_ids"]
    assert sorted(copies) == sorted([here, *two_nodes.ids]), "one in each object store"
    assert {node_of(trial) for trial in trials} == set(two_nodes.ids)
    (processor,) = {attempt_of(trial).processor for trial in trials}
    assert processor == processor_of("cpu"), "that of the node, which is this machine's"


def test_a_killed_actor_is_tried_again_and_the_budget_is_exact(
    two_nodes: Nodes, tmp_path: Path
) -> None:
    def kill() -> bool:
        for process in psutil.Process().children(recursive=True):  # others test on Ray, too
            with suppress(psutil.NoSuchProcess):
                if "ray::RayTrainer.train" in " ".join(process.cmdline()):
                    process.kill()
                    return True
        return False

    trials = tune(tmp_path, n_trials=6, epochs=150, callbacks=[once(kill)])
    assert_exact(trials, 6, "worker-died")
    assert {node_of(trial) for trial in trials} == set(two_nodes.ids), "both nodes train"


def test_a_lost_node_costs_no_retry_and_its_trial_goes_elsewhere(
    two_nodes: Nodes, tmp_path: Path
) -> None:
    gone: list[str] = []

    def end_a_node() -> bool:
        for trial in trials_of(tmp_path):
            if trial.state is TrialState.RUNNING and trial.intermediate_values:
                gone.append(node_of(trial))
                two_nodes.end(gone[0])
                return True
        return False

    settings = {"retries.worker_died": 0}
    trials = tune(tmp_path, n_trials=6, epochs=150, callbacks=[once(end_a_node)], settings=settings)
    lost = assert_exact(trials, 6, "interrupted")
    assert node_of(lost) == gone[0]
    (again,) = [trial for trial in trials if attempt_of(trial).number == 2]
    assert node_of(again) in two_nodes.ids, "on a living node"


def test_a_trial_parked_on_one_node_goes_on_on_another(two_nodes: Nodes, tmp_path: Path) -> None:
    def interrupt() -> None:
        while not ended.wait(0.2):
            if (tmp_path / "parked/optuna.db").exists() and any(
                trial.intermediate_values for trial in trials_of(tmp_path / "parked")
            ):
                os.kill(os.getpid(), signal.SIGINT)
                return

    ended = threading.Event()
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            tune(tmp_path / "parked", n_trials=1, epochs=1500, workers=1)
    finally:
        ended.set()
        watcher.join()
    (parked,) = trials_of(tmp_path / "parked")
    assert parked.state is TrialState.WAITING
    before = len(parked.intermediate_values)
    assert 0 < before < 1500
    two_nodes.end(node_of(parked))
    (trial,) = tune(tmp_path / "parked", n_trials=1, epochs=1500, workers=1)
    assert (trial.state, attempt_of(trial).number) == (TrialState.COMPLETE, 1)
    assert node_of(trial) in two_nodes.ids
    assert node_of(trial) != node_of(parked)
    assert len(epochs_of(trial)["epoch"]) > before


def own_study(folder: Path) -> Path:
    """A study file of `tests.support.own_model`."""
    path = folder / "own.toml"
    path.write_text("[space]\nnoise = { low = 0.01, high = 5.0 }\n")
    return path


def test_a_model_of_the_users_own_trains_on_the_nodes(two_nodes: Nodes, tmp_path: Path) -> None:
    study = own_study(tmp_path)
    trials = tune(tmp_path, n_trials=3, study=study, trainable="tests.support.own_model:Popular")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert {node_of(trial) for trial in trials} <= set(two_nodes.ids)


def test_a_model_that_the_nodes_lack_is_refused_with_the_cure(
    two_nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("from tests.support.own_model import Popular\n")
    monkeypatch.syspath_prepend(tmp_path)  # of this process alone
    with pytest.raises(SettingsError, match=r"'only_here'\); install .* --working-dir"):
        tune(tmp_path, study=own_study(tmp_path), trainable="only_here:Popular")


def test_no_room_names_the_missing_resource(two_nodes: Nodes, tmp_path: Path) -> None:
    settings = {"resources.cpus": 5, "resources.place_seconds": 2}
    with pytest.raises(SettingsError, match="needs CPU 5; the largest node has CPU 1; lower"):
        tune(tmp_path, settings=settings)
    assert not (tmp_path / "optuna.db").exists(), "a refused study leaves no file"


def test_ray_s_client_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot stream epochs; run hpo on a node"):
        tune(tmp_path, ray_address="ray://head:10001")


def test_without_ray_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "ray" else found(name, *a)
    )
    with pytest.raises(SettingsError, match=r'pip install "two-tower-hpo\[ray\]"'):
        tune(tmp_path)
