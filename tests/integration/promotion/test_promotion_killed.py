"""A promotion that dies after any of its calls to MLflow, and is run again: as if it had not."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from hpo.config.locations import Locations
from hpo.gate import Refit
from hpo.promotion import promote, promoter, registration as versions
from hpo.promotion.outcome import PromotionSettings
from hpo.promotion.promote import promote_study, roll_back
from hpo.registry import versions as registry
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.artifacts.mlflow_run import log_model
from tests.support.commands import environment
from tests.support.real_study import RealStudy
from tests.support.registered import Registered

QUICK = PromotionSettings(candidates=1, seeds=1)


class Dying:
    """An MlflowClient whose process is gone right after its k-th call, counted from 1."""

    def __init__(self, uri: str, k: int) -> None:
        self._client, self._left = open_client(uri), k
        self.tracking_uri = uri
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._left == 0 and self.names:
                raise KeyboardInterrupt  # clean-up code of a dead process does nothing
            self.names.append(name)
            try:
                return method(*args, **kwargs)
            finally:
                self._left -= 1
                if self._left == 0:
                    raise KeyboardInterrupt

        return call


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealStudy:
    """One trial to promote and a champion to beat; what is logged as models is a small file."""
    study = RealStudy(tmp_path)
    Registered(tmp_path, study.locations.tracking_uri).add()

    def save(_folder: Path, _user: str, path: Path, _model: Any) -> None:
        path.mkdir()
        (path / "MLmodel").write_text("a model")

    def log_pair_scorer(client: Any, experiment: str, run: str, _scorer: Any) -> str:
        save_it = lambda path, model: save(path, "", path, model)  # noqa: E731
        return log_model(client, experiment, run, "model", save_it)

    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(versions, "save_pyfunc", save)
    monkeypatch.setattr(versions, "log_pair_scorer", log_pair_scorer)
    return study


@pytest.fixture
def trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further races and refits of a test return what the first gave: they would give it again."""
    kept: dict[str, Any] = {}
    race, refit = promote.run_race, promoter.refit_model

    def same_race(*args: Any) -> Any:
        if "race" not in kept:
            kept["race"] = race(*args)
        return kept["race"]

    def same_refit(*args: Any) -> Refit:
        folder: Path = args[4]
        if "refit" not in kept:
            final = refit(*args)
            kept["refit"] = final, {path.name: path.read_bytes() for path in folder.iterdir()}
            return final
        final, files = kept["refit"]
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return replace(final, folder=folder)

    monkeypatch.setattr(promote, "run_race", same_race)
    monkeypatch.setattr(promoter, "refit_model", same_refit)


def copy_of(locations: Locations, name: str) -> Locations:
    """The same study, and a registry that is still as it was."""
    path = Path(locations.tracking_uri.removeprefix("sqlite:///"))
    copy = path.with_name(f"{name}.db")
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
    return replace(locations, tracking_uri=f"sqlite:///{copy.as_posix()}")


def dying(monkeypatch: pytest.MonkeyPatch, k: int) -> list[Dying]:
    """From now on promotions get a client that dies after k calls; 0: never."""
    made: list[Dying] = []
    monkeypatch.setattr(promoter, "open_client", lambda uri: made.append(Dying(uri, k)) or made[-1])
    return made


def aliases(client: MlflowClient) -> dict[str, int]:
    """MLflow says numbers or their texts, as the store has it."""
    found = client.get_registered_model("two-tower").aliases
    return {name: int(version) for name, version in found.items()}


def check(locations: Locations, wanted: dict[str, int]) -> None:
    """One new version, its aliases, nothing left open, test figures in its run alone."""
    client = open_client(locations.tracking_uri)
    found = client.search_model_versions("name = 'two-tower'")
    assert sorted(int(version.version) for version in found) == [1, 2]
    assert aliases(client) == wanted
    version = client.get_model_version("two-tower", "2")
    experiment = experiment_id(client, "two-tower-hpo")
    runs = client.search_runs([experiment])
    assert "RUNNING" not in {run.info.status for run in runs}
    assert client.get_run(version.run_id).info.status == "FINISHED"
    tested = [run.info.run_id for run in runs if "test_recall_at_10" in run.data.metrics]
    assert version.run_id in tested
    assert {*tested} <= {one.run_id for one in found}
    history = client.get_metric_history(version.run_id, "test_recall_at_10")
    assert len(history) == 1
    models = client.search_logged_models([experiment])
    assert "PENDING" not in {model.status for model in models}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ({"must_beat": ["popularity"]}, {"champion": 2, "previous": 1}),
        ({"must_beat": ["champion"], "min_gain": 0.9}, {"champion": 1, "challenger": 2}),
    ],
)
@pytest.mark.usefixtures("trained_once")
def test_killed_after_any_call_and_run_again(
    real: RealStudy, monkeypatch: pytest.MonkeyPatch, rules: Any, wanted: dict[str, int]
) -> None:
    real.train("shop", n_trials=1, promotion=rules)
    whole = dying(monkeypatch, 0)
    promote_study(copy_of(real.locations, "whole"), "shop", settings=QUICK)
    check(replace(real.locations, tracking_uri=whole[0].tracking_uri), wanted)
    assert {"create_run", "log_batch", "create_model_version"} < set(whole[0].names)
    names = whole[0].names
    passed = wanted["champion"] == 2
    first = 1 if passed else names.index("create_model_version")  # up to there all is the same
    for k in range(first, len(names) + 1):
        locations = copy_of(real.locations, f"killed-{k}")
        dying(monkeypatch, k)
        with pytest.raises(KeyboardInterrupt):
            promote_study(locations, "shop", settings=QUICK)
        dying(monkeypatch, 0)
        promote_study(locations, "shop", settings=QUICK)
        check(locations, wanted)


def test_force_and_rollback_are_finished_by_the_next_call(
    real: RealStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.train("shop", n_trials=1, promotion={"must_beat": ["champion"], "min_gain": 0.9})
    promote_study(real.locations, "shop", settings=QUICK)
    forced = replace(QUICK, force="because")
    for act, wanted in (
        (
            lambda locations: promote_study(locations, "shop", settings=forced),
            {"champion": 2, "previous": 1},
        ),
        (roll_back, {"champion": 1}),
    ):
        if act is roll_back:
            promote_study(real.locations, "shop", settings=forced)
        whole = dying(monkeypatch, 0)
        act(copy_of(real.locations, f"whole-{len(wanted)}"))
        for k in range(1, len(whole[0].names)):  # after the last one it is done
            locations = copy_of(real.locations, f"{len(wanted)}-{k}")
            dying(monkeypatch, k)
            with pytest.raises(KeyboardInterrupt):
                act(locations)
            dying(monkeypatch, 0)
            act(locations)
            check(locations, wanted)


def test_a_champion_of_the_meantime_is_not_pushed_aside(
    real: RealStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before its alias was set; then another version became champion."""
    real.train("shop", n_trials=1, promotion={"must_beat": ["popularity"]})
    died = dying(monkeypatch, 0)
    client = open_client(real.locations.tracking_uri)
    with monkeypatch.context() as patch:
        patch.setattr(registry, "apply_outcome", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            promote_study(real.locations, "shop", settings=QUICK)
    assert "create_model_version" in died[0].names
    version = client.get_model_version("two-tower", "1")
    client.create_model_version("two-tower", version.source, version.run_id)
    client.set_registered_model_alias("two-tower", "champion", "3")
    found = promote_study(real.locations, "shop", settings=QUICK).registered
    assert found is not None
    assert (found.version, found.role, found.champion) == (2, "challenger", 3)
    assert found.refused == ("it was compared with version 1, and version 3 is the champion by now")


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


KILL = """
import os, signal, sys
from mlflow import MlflowClient
from hpo.promote import main
method = getattr(MlflowClient, sys.argv[1])
def last(*args, **kwargs):
    method(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(MlflowClient, sys.argv[1], last)
main(sys.argv[2:])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
@pytest.mark.parametrize("method", ["create_logged_model", "create_model_version"])
def test_kill_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The same with a process that is really gone, and with real models."""
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    real = RealStudy(tmp_path)
    Registered(tmp_path, real.locations.tracking_uri).add()
    real.train("shop", n_trials=1, promotion={"must_beat": ["popularity"]})
    options = ["--storage", real.locations.storage, "--tracking-uri", real.locations.tracking_uri]
    killed = subprocess.run(
        [sys.executable, "-c", KILL, method, *options, "--candidates", "1", "--seeds", "1"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    promote_study(real.locations, "shop", settings=QUICK)
    check(real.locations, {"champion": 2, "previous": 1})
