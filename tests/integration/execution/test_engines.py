"""One suite for every engine on every storage: the same study, exact, parked and replayed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState

import hpo
from hpo import TrialEnd, replay
from hpo.study.records import Attempt, epochs_of
from tests.support.commands import shop, study_file
from tests.support.postgresql import postgresql_url

__all__ = ["postgresql_url"]

Engine = Literal["inline", "process", "ray"]
N_TRIALS, PARKED_AFTER = 4, 2
MOVING = {"time_ms", "seconds", "cpu_seconds", "memory_mb", "gpu_memory_mb"}

pytestmark = pytest.mark.slow


def tune(folder: Path, engine: Engine, storage: str, **arguments: Any) -> list[FrozenTrial]:
    """Run or continue a study with one worker and one seed; its trials."""
    folder.mkdir(exist_ok=True)
    hpo.tune(
        shop(folder), N_TRIALS, study_file(folder), name=folder.name, storage=storage, seed=7,
        runner=engine, workers=1, device="cpu", tracking=False, verbose=False,
        settings={"threads": 1}, **arguments,
    )  # fmt: skip
    return trials_of(folder, storage)


def trials_of(folder: Path, storage: str) -> list[FrozenTrial]:
    study = optuna.load_study(study_name=folder.name, storage=storage)
    return study.get_trials(deepcopy=False)


def numbers(trials: list[FrozenTrial]) -> list[Any]:
    """All that must repeat bit for bit."""
    curves = [epochs_of(trial).items() for trial in trials]
    told = [{name: column for name, column in curve if name not in MOVING} for curve in curves]
    return [(t.number, t.params, t.state, t.value, c) for t, c in zip(trials, told, strict=True)]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The numbers of the study that nothing interrupts, trained in this process."""
    folder = tmp_path_factory.mktemp("straight")
    return numbers(tune(folder / "study", "inline", f"sqlite:///{folder.as_posix()}/optuna.db"))


@pytest.mark.parametrize("engine", ["inline", "process", "ray"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_an_interrupted_study_is_the_one_that_nothing_interrupts(
    engine: Engine,
    database: str,
    straight: list[Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / f"{engine}-on-{database}"
    storage = f"sqlite:///{tmp_path.as_posix()}/optuna.db"
    if database == "postgresql":
        storage = request.getfixturevalue("postgresql_url")
    if engine == "ray":
        request.getfixturevalue("two_nodes")

    def interrupt(end: TrialEnd) -> None:
        if end.number == PARKED_AFTER - 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tune(folder, engine, storage, callbacks=[interrupt])
    states = [trial.state for trial in trials_of(folder, storage)]
    assert states[:PARKED_AFTER] == [TrialState.COMPLETE] * PARKED_AFTER
    assert set(states[PARKED_AFTER:]) <= {TrialState.WAITING}

    trials = tune(folder, engine, storage)
    assert numbers(trials) == straight
    attempts = [Attempt.of(trial) for trial in trials]
    assert [(attempt.runner, attempt.number) for attempt in attempts if attempt] == [
        (engine, 1)
    ] * N_TRIALS
    assert all(bool(attempt.node) is (engine == "ray") for attempt in attempts if attempt)

    where = ["--storage", storage, "--study-name", folder.name]
    assert replay.main(["--trial", str(PARKED_AFTER), *where]) == 0
    assert "bit for bit" in capsys.readouterr().out


def test_the_threads_that_were_asked_for_train_in_this_process_too(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        trials = tune(tmp_path / "one", "inline", f"sqlite:///{tmp_path.as_posix()}/optuna.db")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    attempts = [Attempt.of(trial) for trial in trials]
    assert {attempt.threads for attempt in attempts if attempt} == {1}
