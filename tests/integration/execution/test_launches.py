"""The beginning and the end of a launch: who signs on, what is sent, told, reported, promoted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from hpo.config.locations import Locations
from hpo.config.study_config import StudyConfig
from hpo.execution import launcher as launcher_module, session as session_module
from hpo.execution.launcher import launch
from hpo.execution.request import Request
from hpo.execution.running_trial import RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.execution.stopping.stop_request import SignedOn, last_launcher
from hpo.reporting.folders import report_folder
from hpo.study.locks import is_owned
from hpo.tracking.background import MirrorThread
from tests.support.examples import conveyor
from tests.support.mlflow_store import fresh_store
from tests.support.real_study import write_csv
from tests.support.tuning import tune_here
from tests.support.webhook import listening

NAME = "tiny-interactions"  # of the studies of `tune_here`


def request(folder: Path, **values: Any) -> Request:
    """A small study that reports and promotes."""
    data = folder / "shop.csv"
    write_csv(data, conveyor())
    config = StudyConfig.model_validate({
        "name": "shop", "data": str(data), "base": {"dim": 8, "epochs": 1}, "n_trials": 2,
        "space": {"lr": {"low": 0.01, "high": 0.2}},
        "promotion": {"must_beat": ["champion", "popularity"]},
    })  # fmt: skip
    places = Locations(f"sqlite:///{(folder / 'optuna.db').as_posix()}", fresh_store(folder))
    made = Request(config, "shop", places, "inline", ["cpu"], tracking=True, report=True,
                   promote=True)  # fmt: skip
    return replace(made, **values)


def test_the_end_names_no_trial_that_breaks_a_limit(tmp_path: Path) -> None:
    with listening() as hook:
        limits = {"recall_at_10": {"max": 0.0}, "coverage_at_10": {"min": 0.999}}
        told = {"notify.url": hook.url, "constraints": limits}
        result = tune_here(tmp_path, settings=told, n_trials=3, verbose=False)
        (message,) = hook.messages
    assert len(result.record.infeasible) == 3
    assert message["best"] is None
    assert message["next"].startswith("python -m hpo.report ")


@pytest.mark.parametrize("reason", ["requested", "terminated"])
def test_a_study_that_becomes_complete_while_it_is_stopped_leaves_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    run, stop, limits = Scheduler.run, MirrorThread.stop, []

    def stopped(scheduler: Scheduler) -> RunEnd:
        return replace(run(scheduler), despite=reason)

    def limited(mirror: MirrorThread, seconds: float) -> object:
        limits.append(seconds)
        return stop(mirror)

    def refuse(*_: object) -> int:
        raise AssertionError("a promotion on a machine that somebody wants back")

    monkeypatch.setattr(Scheduler, "run", stopped)
    monkeypatch.setattr(MirrorThread, "stop", limited)
    monkeypatch.setattr(launcher_module, "promote_winner", refuse)
    asked = request(tmp_path)
    assert launch(asked) == 0
    assert not report_folder(asked.locations, "shop").exists()
    assert limits == [{"requested": 60.0, "terminated": 3.0}[reason]]


def test_parked_trainings_are_recorded_and_sent_before_another_launcher_may_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(tmp_path, promote=False, report=False, tracking=False)
    storage, seen = asked.locations.storage, []

    def see(*_: object) -> str:
        seen.append(is_owned(storage, "shop"))
        return ""

    for name in ("record_snapshots", "send_files"):
        monkeypatch.setattr(session_module, name, see)
    assert launch(asked) == 0
    assert seen == [True, True]


def test_a_launcher_signs_on_before_its_long_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `hpo stop` would ask the one before it."""
    make_record, seen = launcher_module.make_record, list[SignedOn | None]()

    def see(*arguments: Any) -> Any:
        studies = optuna.get_all_study_names(storage)
        seen.append(last_launcher(optuna.load_study(study_name=NAME, storage=storage))
                    if studies else None)  # fmt: skip
        return make_record(*arguments)

    monkeypatch.setattr(launcher_module, "make_record", see)
    storage = f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}"
    for n_trials in (1, 2):
        tune_here(tmp_path, n_trials=n_trials, verbose=False)
    first, second = seen
    now = last_launcher(optuna.load_study(study_name=NAME, storage=storage))
    assert first is None
    assert second == now
